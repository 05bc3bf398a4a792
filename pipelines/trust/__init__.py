"""How far verifiers can be trusted: labelled answers, attacks, and the table of what they make of them."""
