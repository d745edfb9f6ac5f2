"""paho-mqtt against a real node: `paho_client.py PORT 3.1.1|5.0`; ends with 0 when all is well.

Each scenario uses topics of its own, so that one node serves both versions.
"""

import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WAIT_S = 15
PORT = int(sys.argv[1])
V5 = sys.argv[2] == "5.0"
PREFIX = f"paho/{sys.argv[2]}"


class Peer:
    """One client with its network thread; what it receives waits in a queue."""

    def __init__(self, name, persistent=False, will=None):
        protocol = mqtt.MQTTv5 if V5 else mqtt.MQTTv311
        # A clean session is said in the constructor for 3.1.1 and in connect() for 5.0.
        clean = {} if V5 else {"clean_session": not persistent}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, f"{PREFIX}/{name}", protocol=protocol, **clean)
        self.messages = queue.Queue()
        self.events = queue.Queue()
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_connect = lambda _c, _u, flags, code, _p: self.events.put((flags, code))
        self.client.on_subscribe = lambda _c, _u, mid, codes, _p: self.events.put((mid, codes))
        if will:
            self.client.will_set(*will)
        options = {}
        if V5:
            options["clean_start"] = not persistent
            if persistent:
                options["properties"] = properties(PacketTypes.CONNECT, SessionExpiryInterval=600)
        self.client.connect("127.0.0.1", PORT, **options)
        self.client.loop_start()
        flags, code = self.events.get(timeout=WAIT_S)
        check(not code.is_failure, f"{name} is not let in: {code}")
        self.session_present = flags.session_present

    def subscribe(self, topic, qos):
        _result, mid = self.client.subscribe(topic, qos)
        answered, codes = self.events.get(timeout=WAIT_S)
        check(mid == answered and [c.value for c in codes] == [qos], f"{topic}: {codes}")

    def publish(self, topic, payload, qos, **more):
        self.client.publish(topic, payload, qos, **more).wait_for_publish(WAIT_S)

    def message(self):
        return self.messages.get(timeout=WAIT_S)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self):
        """Ends the connection without DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def properties(packet, **values):
    result = Properties(packet)
    for name, value in values.items():
        setattr(result, name, value)
    return result


def check(holds, text):
    if not holds:
        raise AssertionError(text)


def equal(found, wanted):
    check(found == wanted, f"{found!r}, not {wanted!r}")


def all_qualities_of_service():
    subscriber, publisher = Peer("sub"), Peer("pub")
    for granted in range(3):
        topic = f"{PREFIX}/qos/{granted}"
        subscriber.subscribe(topic, granted)
        for sent in range(3):
            publisher.publish(topic, f"{sent}", sent)
            message = subscriber.message()
            found = (message.topic, message.payload, message.qos, message.retain)
            equal(found, (topic, f"{sent}".encode(), min(sent, granted), False))
    subscriber.stop()
    publisher.stop()


def order_and_completeness():
    subscriber, publisher = Peer("sub"), Peer("pub")
    subscriber.subscribe(f"{PREFIX}/many", 2)
    for number in range(200):
        publisher.client.publish(f"{PREFIX}/many", str(number), 2)
    equal([int(subscriber.message().payload) for _ in range(200)], list(range(200)))
    subscriber.stop()
    publisher.stop()


def retained_messages():
    publisher = Peer("pub")
    publisher.publish(f"{PREFIX}/state", "on", 1, retain=True)
    late = Peer("late")
    late.subscribe(f"{PREFIX}/state", 1)
    message = late.message()
    equal((message.payload, message.retain), (b"on", True))
    publisher.publish(f"{PREFIX}/state", "", 1, retain=True)
    equal(late.message().payload, b"")
    later = Peer("later")
    later.subscribe(f"{PREFIX}/#", 1)
    publisher.publish(f"{PREFIX}/other", "x", 1)
    equal(later.message().topic, f"{PREFIX}/other")
    for peer in (publisher, late, later):
        peer.stop()


def a_will():
    watcher = Peer("watcher")
    watcher.subscribe(f"{PREFIX}/will", 1)
    mortal = Peer("mortal", will=(f"{PREFIX}/will", "gone", 1, False))
    mortal.drop()
    equal(watcher.message().payload, b"gone")
    watcher.stop()


def shared_subscriptions():
    members = [Peer(f"member-{n}") for n in range(2)]
    for member in members:
        member.subscribe(f"$share/group/{PREFIX}/job/+", 1)
    publisher = Peer("pub")
    for number in range(20):
        publisher.publish(f"{PREFIX}/job/1", str(number), 1)
    end = time.monotonic() + WAIT_S
    while sum(m.messages.qsize() for m in members) < 20 and time.monotonic() < end:
        time.sleep(0.02)
    shares = [[int(m.messages.get_nowait().payload) for _ in range(m.messages.qsize())]
              for m in members]
    equal(sorted(shares[0] + shares[1]), list(range(20)))
    check(all(shares), f"one member got everything: {shares}")
    for peer in (*members, publisher):
        peer.stop()


def a_persistent_session():
    keeper = Peer("keeper", persistent=True)
    check(not keeper.session_present, "a session before the first one")
    keeper.subscribe(f"{PREFIX}/kept", 2)
    keeper.stop()
    publisher = Peer("pub")
    for number in range(10):
        publisher.publish(f"{PREFIX}/kept", str(number), 1 + number % 2)
    keeper = Peer("keeper", persistent=True)
    check(keeper.session_present, "the session is gone")
    equal(sorted(int(keeper.message().payload) for _ in range(10)), list(range(10)))
    keeper.stop()
    publisher.stop()


def request_and_response():
    server, asker = Peer("server"), Peer("asker")
    server.subscribe(f"{PREFIX}/ask", 1)
    asker.subscribe(f"{PREFIX}/answer", 1)
    sent = properties(
        PacketTypes.PUBLISH, ResponseTopic=f"{PREFIX}/answer", CorrelationData=b"\x00\xff7",
        UserProperty=[("k", "1"), ("k", "2"), ("a", "b")], ContentType="text/plain")
    asker.publish(f"{PREFIX}/ask", "?", 1, properties=sent)
    got = server.message().properties
    equal(got.UserProperty, [("k", "1"), ("k", "2"), ("a", "b")])
    equal(got.ContentType, "text/plain")
    back = properties(PacketTypes.PUBLISH, CorrelationData=got.CorrelationData)
    server.publish(got.ResponseTopic, "!", 1, properties=back)
    equal(asker.message().properties.CorrelationData, b"\x00\xff7")
    server.stop()
    asker.stop()


def main():
    scenarios = [all_qualities_of_service, order_and_completeness, retained_messages, a_will,
                 shared_subscriptions, a_persistent_session]
    if V5:
        scenarios.append(request_and_response)
    for scenario in scenarios:
        print(scenario.__name__, flush=True)
        scenario()


main()
