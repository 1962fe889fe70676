"""Errors a user can act on: the command line prints them as one line, without a traceback."""


class StreamRecError(Exception):
    """Base of every error that the user's input, settings or stored files can cause."""


class ConfigError(StreamRecError):
    """A setting is unknown, of the wrong type, out of bounds, or its file is missing (exit code 2)."""


class CatalogError(StreamRecError):
    """The item table cannot be read or does not hold what the schema says."""


class QuarantineError(CatalogError):
    """More rows than the configured share break a row rule."""


class ValidationFailedError(CatalogError):
    """A critical expectation about the item table failed."""


class InteractionsError(StreamRecError):
    """The events cannot be read, or do not belong to the catalogue's items or the users asked for."""


class SplitError(InteractionsError):
    """The events cannot be split as configured."""


class TrainingError(StreamRecError):
    """Training cannot go on: a loss that is not finite, a checkpoint of another model."""


class SamplingError(StreamRecError):
    """A model's samples or densities cannot be computed: its equation has no finite, smooth solution."""


class EvaluationError(StreamRecError):
    """A model cannot be judged: scores that are not numbers, a test that asks nothing, unlike trials."""


class BundleError(StreamRecError):
    """A published bundle is missing, incomplete, altered, or does not belong to its model."""


class TrackingError(StreamRecError):
    """The tracking store cannot be used, or does not hold the model asked for."""


class RunLockedError(StreamRecError):
    """Another run is at work in the same folder, and was waited for long enough."""


class TimeLimitError(StreamRecError):
    """A stage or a run took longer than its settings allow."""


class NotPromotedError(StreamRecError):
    """Gates against the champion do not hold for a challenger. What was published stays as it was."""

    def __init__(self, message: str, decision: str) -> None:
        """`decision` is the whole of it, for a screen."""
        super().__init__(message)
        self.decision = decision
