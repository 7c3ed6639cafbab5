"""The commands: each module holds one click command that composes the parts; logic lives in the parts."""
