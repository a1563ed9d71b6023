"""The audit: follows each log by its tiles and checks what a cosignature does not promise, head by head of every stream."""
