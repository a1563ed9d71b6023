"""The log towards its witnesses: what is known of each, how they are asked, what their answers are worth."""
