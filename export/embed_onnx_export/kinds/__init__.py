"""What an export does by the kind of output: a file for each, of which there is one."""
