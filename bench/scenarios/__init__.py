"""What is measured, one module each: `async run(lab)` returns an `Outcome`."""
