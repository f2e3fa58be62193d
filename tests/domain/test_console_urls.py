from twilio_campaigns.domain.console_urls import message_log_url, messages_log_url

SID = "SM" + "0" * 32


def test_one_message_by_its_sid():
    assert message_log_url(SID) == f"https://console.twilio.com/us1/monitor/logs/sms?pageSize=50&sid={SID}"


def test_an_account_with_a_region_has_its_own_console():
    assert message_log_url(SID, "ie1").startswith("https://console.twilio.com/ie1/monitor/logs/sms?")


def test_all_messages_of_a_number_or_of_the_account():
    assert messages_log_url("+12025550142").endswith("/us1/monitor/logs/sms?pageSize=50&from=%2B12025550142")
    assert messages_log_url(None, "au1") == "https://console.twilio.com/au1/monitor/logs/sms?pageSize=50"
