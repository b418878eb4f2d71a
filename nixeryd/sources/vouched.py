"""Evaluate a package set in one state; say how to vouch for one that is nobody's."""

from nixeryd.images.names import ImageName
from nixeryd.nix.evaluate import Evaluation, EvaluationFailed, evaluate
from nixeryd.nix.isolation import isolates_builders
from nixeryd.nix.packageset import PackageSet
from nixeryd.nix.process import Nix
from nixeryd.nix.reads import Reads
from nixeryd.nix.restricted import is_refusal

_RESTRICTED = (
    "Only a tag names this state, which nobody here vouches for: it reads its own files"
    " and the store, and fetches and builds nothing while it is evaluated. If you trust"
    " it:"
)


async def evaluate_vouched(
    nix: Nix, found: PackageSet, image: ImageName, to_trust: str | None, reads: Reads
) -> Evaluation:
    """Evaluate the packages of an image; raises `RegistryError`.

    `to_trust` is what a person can do if Nix refuses a restricted set what it wants;
    it is refused at once where its builders could read the user's files.
    """
    if to_trust is not None and not await isolates_builders(nix):
        raise EvaluationFailed(
            f"{found.called}: only a tag names this state, which nobody here vouches"
            " for, and its builders would run as you: turn Nix's sandbox on (nix.conf:"
            f" sandbox = true). If you trust it: {to_trust}"
        )
    try:
        return await evaluate(
            nix,
            found,
            image.packages,
            image.system,
            optional=image.optional,
            reads=reads,
        )
    except EvaluationFailed as error:
        if to_trust is None or not is_refusal(str(error)):
            raise
        message = f"{error}\n{_RESTRICTED} {to_trust}"
        raise EvaluationFailed(message, error.names) from error
