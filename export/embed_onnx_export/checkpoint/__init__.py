"""What a checkpoint holds, read and checked."""
