"""This process and its machine: cores, priorities, signals, forks, memory."""
