"""Moving data between storage and folders: bounded in memory and in what runs at once, and never half a file."""
