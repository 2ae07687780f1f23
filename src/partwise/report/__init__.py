"""What a finished comparison looks like on paper."""
