"""What the collector tells of itself: its metrics, its lines for the operator."""
