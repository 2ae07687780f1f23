"""Stores: where the partitions of tables lie that are not held in memory."""

from partwise.stores.footers import footer_digest
from partwise.stores.manifests import FORMAT, Manifest, StoredPart
from partwise.stores.partition_store import Build, PartitionStore, StoreEntry

__all__ = ["FORMAT", "Build", "Manifest", "PartitionStore", "StoreEntry", "StoredPart", "footer_digest"]
