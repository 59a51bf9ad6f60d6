"""Training: a loop that is timed part by part, what belongs to it, and the recipe of the digits."""

from .checkpoint import Checkpoint
from .curves import curves_png, write_csv, write_html, write_png
from .digits import DigitsRecipe, digits_loader, train_digits
from .fit import Epoch, Evaluation, History, Progress, Timing, evaluate, fit, training_step
from .schedule import warmup_cosine
from .search import Trial, grid, integers, log_uniform, random_points, search, uniform
from .stopping import EarlyStopping, Overfitting, overfit_one_batch

__all__ = [
    "Checkpoint",
    "DigitsRecipe",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "History",
    "Overfitting",
    "Progress",
    "Timing",
    "Trial",
    "curves_png",
    "digits_loader",
    "evaluate",
    "fit",
    "grid",
    "integers",
    "log_uniform",
    "overfit_one_batch",
    "random_points",
    "search",
    "train_digits",
    "training_step",
    "uniform",
    "warmup_cosine",
    "write_csv",
    "write_html",
    "write_png",
]
