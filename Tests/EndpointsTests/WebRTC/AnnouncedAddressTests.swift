import MartletEndpoints
import MartletPrimitives
import Testing

/// Entries of `webrtc.addresses`.
@Suite struct AnnouncedAddressTests {
  @Test func `addresses, names and STUN servers are told apart, and written as they were`() {
    let entries: [(String, AnnouncedAddress)] = [
      ("203.0.113.7", .ip(.v4(0xCB00_7107))), ("2001:db8::1", .ip(.v6(high: 0x2001_0DB8_0000_0000, low: 1))),
      ("media.example.org", .host("media.example.org")), ("localhost", .host("localhost")),
      ("stun:stun.example.org", .stun(host: "stun.example.org", port: 3478)),
      ("stun:192.0.2.1:3479", .stun(host: "192.0.2.1", port: 3479)), ("stun:[2001:db8::1]", .stun(host: "[2001:db8::1]", port: 3478)),
      ("stun:[2001:db8::1]:5000", .stun(host: "[2001:db8::1]", port: 5000)),
    ]
    for (text, entry) in entries {
      #expect(AnnouncedAddress(text) == entry)
      #expect(entry.description == text)
    }
  }

  @Test(arguments: [
    "", "stun:", "stun::3478", "stun:host:0", "stun:host:70000", "stun:host:", "stun:2001:db8::1", "turn:host", "a b", "-..-",
    "203.0.113.7:80", "203.0.113.999",
    "http://host", "stun:[host]", String(repeating: "a", count: 64),
  ]) func `all else is none`(_ text: String) { #expect(AnnouncedAddress(text) == nil) }
}
