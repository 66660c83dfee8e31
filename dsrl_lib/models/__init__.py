"""Host networks and the DSRL framework around them."""

from .dsrl import DSRL
from .hosts import HOSTS, Features, build_host

__all__ = ["DSRL", "HOSTS", "Features", "build_host"]
