"""Host networks and the DSRL framework around them."""

from dsrl_lib.models.dsrl import DSRL
from dsrl_lib.models.hosts import HOSTS, Features, build_host

__all__ = ["DSRL", "HOSTS", "Features", "build_host"]
