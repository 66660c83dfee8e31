"""Host networks and the DSRL framework around them."""

from .hosts import HOSTS, Features, build_host

__all__ = ["HOSTS", "Features", "build_host"]
