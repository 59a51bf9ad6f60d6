"""The public surface that is due: names as data, by the place where PyTorch has them."""

#: Functions that compute: each at gradsmith.X, gradsmith.nn.functional.X or as Tensor.X, with a
#: docstring, and with samples in gradsmith.testing.opdb under its name (or ALIASES').
OPS: dict[str, str] = {
    "elementwise": """
        add sub mul div floor_divide remainder pow neg abs sign sqrt rsqrt exp expm1 log log1p log2
        sin cos tan tanh sigmoid erf floor ceil round clamp minimum maximum where lerp addcmul
        addcdiv masked_fill""",
    "compare": """
        eq ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or
        bitwise_xor bitwise_not bitwise_left_shift bitwise_right_shift isnan isinf isfinite""",
    "reduce": """
        sum mean prod max min amax amin argmax argmin any all var std norm logsumexp cumsum cumprod
        topk sort argsort""",
    "shape": """
        reshape flatten unflatten squeeze unsqueeze permute transpose movedim expand
        repeat cat stack split chunk unbind flip roll tile pad narrow gather scatter index_select
        take_along_dim tril triu diagonal unfold fold meshgrid one_hot""",
    "matmul": """
        matmul mm bmm mv dot addmm baddbmm outer einsum linear bilinear tensordot kron cross inner
        vdot cdist cov corrcoef chain_matmul linear_activation""",
    "conv": """
        conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d conv1d_activation
        conv2d_activation conv3d_activation""",
    "pool": """
        max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d
        adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
        adaptive_max_pool3d lp_pool1d lp_pool2d lp_pool3d max_unpool1d max_unpool2d max_unpool3d""",
    "activation": """
        relu relu6 leaky_relu prelu rrelu elu celu selu gelu silu mish sigmoid logsigmoid
        hardsigmoid tanh hardtanh hardswish softplus softsign softshrink hardshrink tanhshrink
        threshold glu softmax log_softmax softmin maxout""",
    "norm": """
        batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm normalize""",
    "loss": """
        mse_loss l1_loss smooth_l1_loss huber_loss nll_loss cross_entropy binary_cross_entropy
        binary_cross_entropy_with_logits kl_div multi_margin_loss hinge_embedding_loss
        margin_ranking_loss soft_margin_loss cosine_embedding_loss triplet_margin_loss
        multilabel_margin_loss multilabel_soft_margin_loss poisson_nll_loss gaussian_nll_loss
        dice_loss l1_penalty l2_penalty elastic_net_penalty""",
    "random": "dropout dropout1d dropout2d dropout3d alpha_dropout drop_path",
    "index": "embedding embedding_bag",
    "interpolate": "interpolate pixel_shuffle",
    "distance": "cosine_similarity pairwise_distance pdist channel_shuffle",
    "recurrent": "rnn_tanh rnn_relu lstm gru",
    "attention": "scaled_dot_product_attention",
}

#: Op -> the samples that show it, where they have another name.
ALIASES: dict[str, str] = {"max": "max_dim", "min": "min_dim"}

#: Functions that make tensors, or work on them without computing.
FUNCTIONS = """
    tensor as_tensor from_numpy from_dlpack zeros ones full empty zeros_like ones_like full_like
    empty_like arange linspace eye rand randn randint randperm bernoulli manual_seed
    set_default_device set_default_dtype Generator finfo iinfo Size result_type promote_types
    can_cast is_tensor is_floating_point save load no_grad enable_grad inference_mode
    set_grad_enabled is_grad_enabled backend device dtype
    summary memory_format float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool
    channels_last
    adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout batch_norm channel_shuffle embedding
    embedding_bag feature_alpha_dropout group_norm instance_norm inverse layer_norm pixel_shuffle
    pixel_unshuffle rms_norm allclose isclose is_same_size equal broadcast_shapes broadcast_tensors
    broadcast_to atleast_1d atleast_2d atleast_3d detach positive matrix_power pinverse
"""

TENSOR = """
    shape dtype device T grad requires_grad size dim numel item tolist float double half long bool
    view view_as type_as new_zeros new_ones new_full new_empty new_tensor is_leaf grad_fn
    retain_grad requires_grad_ to cpu cuda numpy detach clone contiguous __getitem__ __setitem__
    __array__ __array_ufunc__ __array_priority__ __dlpack__ register_hook backward copy_ fill_
    zero_ add_ sub_ mul_ div_ pow_ neg_ abs_ sqrt_ exp_ log_ clamp_ masked_fill_ relu_ sigmoid_
    tanh_ floor_ ceil_ round_ scatter_ index_select
    __add__ __sub__ __mul__ __truediv__ __floordiv__ __mod__ __pow__ __neg__ __abs__ __eq__ __ne__
    __lt__ __le__ __gt__ __ge__ __and__ __or__ __xor__ __invert__ __matmul__ __lshift__ __rshift__
    __radd__ __rsub__ __rmul__ __rtruediv__ __rfloordiv__ __rmod__ __rpow__ __rmatmul__ __iter__
    squeeze_ unsqueeze_ t_ transpose_ swapaxes_ swapdims_ cumsum_ cumprod_ addcmul_ addcdiv_ lerp_
    float_power_ isclose allclose is_same_size stride storage_offset element_size nbytes data_ptr
    is_contiguous
    pin_memory __iadd__ __isub__ __imul__ __itruediv__ __len__ __repr__ __hash__ bfloat16 int
"""

LINALG = "norm vector_norm inv solve det cholesky qr svd eigh multi_dot"

MODULES = """
    Module Parameter Sequential ModuleList ModuleDict ParameterList ParameterDict Flatten Unflatten
    Identity Linear Bilinear Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d
    MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d AdaptiveAvgPool1d AdaptiveAvgPool2d
    AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d LPPool1d LPPool2d
    LPPool3d MaxUnpool1d MaxUnpool2d MaxUnpool3d ReLU ReLU6 LeakyReLU PReLU RReLU ELU CELU SELU GELU
    SiLU Mish Sigmoid LogSigmoid Hardsigmoid Tanh Hardtanh Hardswish Softplus Softsign Softshrink
    Hardshrink Tanhshrink Threshold GLU Softmax LogSoftmax Softmin Maxout BatchNorm1d BatchNorm2d
    BatchNorm3d LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d RMSNorm
    LocalResponseNorm MSELoss L1Loss SmoothL1Loss HuberLoss NLLLoss CrossEntropyLoss BCELoss
    BCEWithLogitsLoss KLDivLoss MultiMarginLoss HingeEmbeddingLoss MarginRankingLoss SoftMarginLoss
    CosineEmbeddingLoss TripletMarginLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss
    PoissonNLLLoss GaussianNLLLoss DiceLoss Dropout Dropout1d Dropout2d Dropout3d AlphaDropout
    DropPath Embedding EmbeddingBag Upsample PixelShuffle PixelUnshuffle ChannelShuffle
    CosineSimilarity PairwiseDistance RNN LSTM GRU RNNCell LSTMCell GRUCell MultiheadAttention
    TransformerEncoderLayer TransformerDecoderLayer Unfold Fold ReflectionPad1d ReflectionPad2d
    ReplicationPad1d ReplicationPad2d CircularPad1d CircularPad2d ZeroPad1d ZeroPad2d ConstantPad1d
    ConstantPad2d
"""

INIT = """
    uniform_ normal_ constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_
    kaiming_uniform_ kaiming_normal_ orthogonal_ trunc_normal_ sparse_ calculate_gain
"""

NN_UTILS = """
    clip_grad_norm_ clip_grad_value_ parameters_to_vector vector_to_parameters rnn.PackedSequence
    rnn.pack_padded_sequence rnn.pad_packed_sequence rnn.pad_sequence rnn.pack_sequence
    weight_norm spectral_norm
"""

OPTIM = """
    SGD ASGD Adagrad Adadelta RMSprop Rprop Adam AdamW Adamax NAdam RAdam Lion LBFGS Muon
    Adafactor Optimizer
"""

SCHEDULERS = """
    StepLR MultiStepLR ExponentialLR CosineAnnealingLR CosineAnnealingWarmRestarts OneCycleLR
    CyclicLR LinearLR ConstantLR PolynomialLR LambdaLR ReduceLROnPlateau SequentialLR
    ChainedScheduler
"""

SWA = "AveragedModel SWALR update_bn get_ema_multi_avg_fn"

AUTOGRAD = """
    backward grad Function no_grad enable_grad inference_mode set_grad_enabled detect_anomaly
    set_detect_anomaly gradcheck gradgradcheck functional.jacobian functional.hessian
    functional.vjp functional.jvp functional.hvp functional.vhp
"""

DATA = """
    Dataset IterableDataset TensorDataset Subset ConcatDataset ChainDataset random_split Sampler
    SequentialSampler RandomSampler SubsetRandomSampler WeightedRandomSampler BatchSampler
    DataLoader default_collate get_worker_info k_fold
"""

TRANSFORMS = """
    Compose ToTensor Normalize RandomHorizontalFlip RandomVerticalFlip RandomCrop CenterCrop Resize
    Pad RandomRotation RandomAffine ColorJitter RandomErasing Lambda MixUp
"""

DATASETS = "Digits MNIST FashionMNIST CIFAR10 CIFAR100 ImageFolder"

MODELS = """
    LeNet5 AlexNet vgg11 vgg13 vgg16 vgg19 resnet18 resnet34 resnet50 resnet101 GoogLeNet UNet MLP
    CharRNN TCN TransformerLM NearestNeighbors LinearSVM SoftmaxClassifier
"""

CUDA = """
    is_available device_count current_device set_device synchronize Stream Event stream
    memory_allocated memory_stats empty_cache get_device_properties use_emulator manual_seed
"""

TRAIN = """
    fit evaluate overfit_one_batch search random_points grid log_uniform integers EarlyStopping
    Checkpoint History Timing curves_png
"""

PROFILER = "profile record_function"

TESTING = "gradcheck gradgradcheck opcheck validate assert_close assert_equal"

#: Where the names of each list are.
PLACES: dict[str, str] = {
    "": FUNCTIONS,
    "Tensor": TENSOR,
    "linalg": LINALG,
    "nn": MODULES,
    "nn.init": INIT,
    "nn.utils": NN_UTILS,
    "optim": OPTIM,
    "optim.lr_scheduler": SCHEDULERS,
    "optim.swa_utils": SWA,
    "autograd": AUTOGRAD,
    "utils.checkpoint": "checkpoint checkpoint_sequential",
    "utils.data": DATA,
    "transforms": TRANSFORMS,
    "datasets": DATASETS,
    "models": MODELS,
    "train": TRAIN,
    "cuda": CUDA,
    "profiler": PROFILER,
    "testing": TESTING,
}
