"""What `stepsize doctor` looks at: one file per part of stepsize, each a function that returns what it found."""
