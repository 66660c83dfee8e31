"""Host networks, one file each."""
