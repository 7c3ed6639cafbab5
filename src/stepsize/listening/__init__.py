"""What every server of ours needs to listen beyond its machine: certificates and files of who may come, read anew."""
