"""`python -m twilio_campaigns.simulator`."""

import typer

from twilio_campaigns.simulator.command import simulator

if __name__ == "__main__":
    typer.run(simulator)
