#!/bin/sh
# Records what the Linux kernel makes of "hello world" with every transform that it has:
#
#   espial lab --profile none --out "$PWD" -- sh tests/data/vectors/make.sh tests/data/vectors
#
# Runs as root on any kernel with ESP, AH, IPComp and network namespaces; needs ip, tcpdump and python3. Writes
# linux-all.pcap (what left the sender) and linux-all.sas (a line per SA: the arguments of `ip xfrm state add`).
# All SAs and policies stand at once: each SA has a policy of its own, told apart by the datagram's port.
set -eu
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
cd "$work"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

ip netns add sender
ip netns add receiver
trap 'ip netns del sender; ip netns del receiver; rm -r "$work"' EXIT
ip link add s0 netns sender type veth peer name r0 netns receiver
for end in "sender s0 1" "receiver r0 2"; do
    set -- $end
    ip -n "$1" link set lo up
    ip -n "$1" addr add "10.9.0.$3/24" dev "$2"
    ip -n "$1" -6 addr add "fd00:9::$3/64" dev "$2" nodad
    ip -n "$1" link set "$2" up
done

cat > plan.py <<'PYTHON'
"""Writes states.batch, policies.batch and sends.json: the SAs, their policies, and what to send through them."""
import json
import subprocess

ADDRESSES = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd00:9::1", "fd00:9::2")}
ENCRYPTION = {  # name: key lengths in bytes, the one used everywhere last
    "ecb(cipher_null)": [0], "cbc(des)": [8], "cbc(des3_ede)": [24], "cbc(cast5)": [5, 10, 11, 16],
    "cbc(blowfish)": [5, 56, 16], "cbc(aes)": [16, 24, 32], "rfc3686(ctr(aes))": [20, 28, 36],
    "cbc(camellia)": [16, 24, 32], "cbc(twofish)": [16, 24, 32], "cbc(serpent)": [16, 24, 32], "cbc(sm4)": [16],
}
AUTHENTICATION = {  # name: key length in bytes, ICV lengths in bits, the one used everywhere last
    "hmac(md5)": (16, [128, 96]), "hmac(sha1)": (20, [160, 96]), "hmac(sha256)": (32, [96, 256, 128]),
    "hmac(sha384)": (48, [384, 192]), "hmac(sha512)": (64, [512, 256]), "hmac(rmd160)": (20, [160, 96]),
    "xcbc(aes)": (16, [128, 96]), "cmac(aes)": (16, [128, 96]), "hmac(sm3)": (32, [256]), "digest_null": (0, [0]),
}
AEAD = {  # name: key lengths in bytes, ICV lengths in bits, those used everywhere last
    "rfc4106(gcm(aes))": ([20, 28, 36], [64, 96, 128]), "rfc4309(ccm(aes))": ([19, 27, 35], [64, 96, 128]),
    "rfc4543(gcm(aes))": ([20, 28, 36], [128]), "rfc7539esp(chacha20,poly1305)": ([36], [128]),
}
states, policies, sends = [], [], []


def known(algorithm):
    """Whether this kernel has it."""
    probe = "ip -n sender xfrm state add src 10.9.0.9 dst 10.9.0.8 proto esp spi 1".split() + algorithm
    if subprocess.run(probe, capture_output=True).returncode:
        print("this kernel has no", algorithm[-2])
        return False
    return not subprocess.run("ip -n sender xfrm state flush".split()).returncode


ENCRYPTION = {n: k for n, k in ENCRYPTION.items() if known(["enc", n, "0x" + "57" * k[-1] if k[-1] else ""])}
AUTHENTICATION = {n: k for n, k in AUTHENTICATION.items()
                  if known(["enc", "cbc(aes)", "0x" + "57" * 16, "auth", n, "0x" + "57" * k[0] if k[0] else ""])}


def key(length):
    """Different for each SA, the same in each run, good parity or not."""
    seed = len(states) + 1
    text = "".join(f"{(seed * 37 + byte * 11 + seed // 256) % 255 + 1:02x}" for byte in range(length))
    return f"0x{text}" if text else '""'


def encryption(name, length=None):
    return f"enc {name} {key(ENCRYPTION[name][-1] if length is None else length)}"


def authentication(name, icv=None):
    length, icvs = AUTHENTICATION[name]
    return f"auth-trunc {name} {key(length)} {icvs[-1] if icv is None else icv}"


def aead(name, length=None, icv=None):
    lengths, icvs = AEAD[name]
    return f"aead {name} {key(length or lengths[-1])} {icv or icvs[-1]}"


def sa(protocol, algorithms, mode="transport", family=4, more=""):
    """One SA with a number of its own."""
    source, destination = ADDRESSES[family]
    spi = 0x1000 + len(states)
    reqid = len(policies) + 1
    states.append(f"src {source} dst {destination} proto {protocol} spi {spi:#x} reqid {reqid} mode {mode} "
                  f"{more}{' ' if more else ''}{algorithms}")
    return f"tmpl src {source} dst {destination} proto {protocol} reqid {reqid} mode {mode}"


def through(*templates, family=4, copies=1, words="hello world", **options):
    """A policy that sends one port's datagrams through these SAs, and such datagrams."""
    source, destination = ADDRESSES[family]
    port = 20000 + len(policies)
    policies.append(f"dir out src {source} dst {destination} proto udp dport {port} {' '.join(templates)}")
    sends.append(dict(family=family, to=destination, port=port, words=words, copies=copies, **options))


PLACES = [(mode, family) for mode in ("transport", "tunnel") for family in (4, 6)]
ESN = "flag esn replay-window 64 replay-oseq 0x5 replay-oseq-hi 0x7"

# Each key length and each ICV length once.
for name, lengths in ENCRYPTION.items():
    for length in lengths[:-1]:
        through(sa("esp", f"{encryption(name, length)} {authentication('hmac(sha1)')}"))
for name, (_, icvs) in AUTHENTICATION.items():
    for icv in icvs[:-1]:
        through(sa("esp", f"{encryption('cbc(aes)')} {authentication(name, icv)}"))
        through(sa("ah", authentication(name, icv)))
for name, (lengths, icvs) in AEAD.items():
    for length in lengths:
        for icv in icvs:
            through(sa("esp", aead(name, length, icv)))
# Each algorithm in each mode and family, and with extended sequence numbers.
for mode, family, more in [place + ("",) for place in PLACES] + [("transport", 4, ESN), ("tunnel", 6, ESN)]:
    at = dict(mode=mode, family=family, more=more)
    for name in ENCRYPTION:
        through(sa("esp", f"{encryption(name)} {authentication('hmac(sha256)')}", **at), family=family)
    for name in AUTHENTICATION:
        through(sa("esp", f"{encryption('cbc(aes)')} {authentication(name)}", **at), family=family)
        if name != "digest_null":
            through(sa("ah", authentication(name), **at), family=family)
    for name in AEAD:
        through(sa("esp", aead(name), **at), family=family)
    through(sa("esp", encryption("cbc(aes)"), **at), family=family)
# The sequence number runs over the border between its halves.
border = "flag esn replay-window 64 replay-oseq 0xfffffffe replay-oseq-hi 0x2"
through(sa("esp", aead("rfc4106(gcm(aes))"), more=border), copies=3)
through(sa("esp", f"{encryption('cbc(aes)')} {authentication('hmac(sha1)')}", more=border), copies=3)
through(sa("ah", authentication("hmac(sha1)"), more=border), copies=3)
# One family inside the other.
for inner, outer in ((4, 6), (6, 4)):
    through(sa("esp", aead("rfc4106(gcm(aes))"), "tunnel", outer, "flag af-unspec"), family=inner)
# The article's AH around ESP; tunnels in each other; compression; UDP around ESP.
for family in (4, 6):
    article = f"{encryption('cbc(des3_ede)')} {authentication('hmac(sha1)')}"
    through(sa("esp", article, family=family), sa("ah", authentication("hmac(md5)"), family=family), family=family)
    through(sa("esp", aead("rfc4106(gcm(aes))"), "tunnel", family), sa("ah", authentication("hmac(sha256)"), "tunnel", family),
            family=family)
    many = "hello world, " * 40
    through(sa("comp", "comp deflate", family=family), family=family, words=many)
    through(sa("comp", "comp deflate", "tunnel", family), family=family, words=many)
    through(sa("comp", "comp deflate", family=family), sa("esp", aead("rfc4106(gcm(aes))"), family=family), family=family,
            words=many)
through(sa("esp", aead("rfc4106(gcm(aes))"), more="encap espinudp 4500 4500 0.0.0.0"))
# What AH leaves out of its sum: IPv4 options that routers change, those that they do not, DSCP, and a route.
options = {
    "record route": "070b04" + "00" * 8 + "01",
    "timestamp": "440c0500" + "00" * 8,
    "router alert": "94040000",
    "router alert and record route": "94040000" + "070704" + "00" * 4 + "01",
    "security": "820b000000000000000000" + "01",
    "loose source route": "830b04" + "0a090002" + "0a090003" + "00",
}
for text in options.values():
    through(sa("ah", authentication("hmac(sha256)")), ip_options=text, tos=0xB8)
# IPv6: hop-by-hop and destination options of which one may change on the way (0x20), and a traffic class.
for which in ("hop", "destination"):
    text = "0001" + "1e0401020304" + "0100" + "3e0405060708"
    through(sa("ah", authentication("hmac(sha256)"), family=6), family=6, ip6_options=[which, text], tos=0xB8)

open("states.batch", "w").writelines(f"xfrm state add {line}\n" for line in states)
open("policies.batch", "w").writelines(f"xfrm policy add {line}\n" for line in policies)
json.dump(sends, open("sends.json", "w"))
open("states.txt", "w").writelines(line + "\n" for line in states)
PYTHON

cat > send.py <<'PYTHON'
"""Sends what sends.json says, after a datagram in clear to each neighbour so that both are found by then."""
import json
import socket

IPV6_HOPOPTS, IPV6_DSTOPTS = 54, 59
for family, neighbour in ((socket.AF_INET, "10.9.0.2"), (socket.AF_INET6, "fd00:9::2")):
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect((neighbour, 9))
        udp.send(b"")
        try:
            udp.recv(1)
        except ConnectionRefusedError:
            pass
for send in json.load(open("sends.json")):
    six = send["family"] == 6
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        if "tos" in send:
            level, option = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)
            udp.setsockopt(level, option, send["tos"])
        if "ip_options" in send:
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes.fromhex(send["ip_options"]))
        if "ip6_options" in send:
            which, text = send["ip6_options"]
            option = IPV6_HOPOPTS if which == "hop" else IPV6_DSTOPTS
            udp.setsockopt(socket.IPPROTO_IPV6, option, bytes.fromhex(text))
        for _ in range(send["copies"]):
            try:
                udp.sendto(send["words"].encode(), (send["to"], send["port"]))
            except OSError as error:
                print(send, error)
PYTHON

python3 plan.py
ip -n sender -batch states.batch
ip -n sender -batch policies.batch
ip netns exec sender tcpdump -Z root --immediate-mode -Q out -U -s 2000 -ni s0 -w capture.pcap \
    'ip proto 50 or ip proto 51 or ip proto 108 or ip6 proto 50 or ip6 proto 51 or ip6 proto 108 or udp port 4500 or ip6 proto 0 or ip6 proto 60' 2> tcpdump.txt &
dump=$!
while ! grep -q listening tcpdump.txt; do sleep 0.1; done
ip netns exec sender python3 send.py
# The kernel has sent all of it by now, but a capture is done only when its last frame is there.
size=-1
while [ "$size" != "$(stat -c %s capture.pcap)" ]; do size=$(stat -c %s capture.pcap); sleep 1; done
kill "$dump"; wait "$dump" || true
cp capture.pcap "$folder/linux-all.pcap"
cp states.txt "$folder/linux-all.sas"
echo "$(wc -l < states.txt) SAs; $(grep captured tcpdump.txt)"
