"""Stores: where the partitions of tables lie that are not held in memory."""

from partwise.stores.manifests import Manifest, StoredPart
from partwise.stores.partition_store import Build, PartitionStore, StoreEntry

__all__ = ["Build", "Manifest", "PartitionStore", "StoreEntry", "StoredPart"]
