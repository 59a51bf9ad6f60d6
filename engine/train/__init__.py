"""Training: a loop that is timed part by part, and the recipe of the digits."""

from .digits import DigitsRecipe, digits_loader, train_digits
from .fit import Epoch, Evaluation, History, Progress, Timing, evaluate, fit, training_step
from .schedule import warmup_cosine

__all__ = [
    "DigitsRecipe",
    "Epoch",
    "Evaluation",
    "History",
    "Progress",
    "Timing",
    "digits_loader",
    "evaluate",
    "fit",
    "train_digits",
    "training_step",
    "warmup_cosine",
]
