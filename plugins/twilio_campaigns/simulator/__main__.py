"""`python -m twilio_campaigns.simulator`."""

from twilio_campaigns.simulator.command import app

if __name__ == "__main__":
    app(prog_name="python -m twilio_campaigns.simulator")
