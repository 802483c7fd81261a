import MartletPrimitives
import Testing

/// RFC 4632 §3.1, RFC 4291 §2.3.
@Suite struct AddressRangeTests {
  private func contains(_ range: String, _ address: String) throws -> Bool {
    try #require(AddressRange(range)).contains(try #require(IPAddress(address)))
  }

  @Test func `a block contains the addresses that share its prefix`() throws {
    #expect(try contains("10.0.0.0/8", "10.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"))
    #expect(try contains("0.0.0.0/0", "255.255.255.255") && contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"))
    #expect(try contains("2001:db8::/33", "2001:db8:7fff::1") && !contains("2001:db8::/33", "2001:db8:8000::"))
    #expect(try contains("::1:0/112", "::1:ffff") && !contains("::1:0/112", "::2:0") && contains("::/0", "ffff::"))
    #expect(try !contains("::/0", "1.2.3.4") && !contains("0.0.0.0/0", "2001:db8::1"))
  }

  @Test func `a block of mapped addresses is the IPv4 block`() throws {
    #expect(AddressRange("::ffff:10.0.0.0/104") == AddressRange("10.0.0.0/8"))
    #expect(try AddressRange("::ffff:10.0.0.1") == AddressRange(#require(IPAddress("10.0.0.1"))))
    #expect(try contains("::ffff:192.0.2.0/120", "192.0.2.9"))
    #expect(AddressRange("::ffff:0:0/95") == nil)
  }

  @Test func `what is no block is refused`() {
    for text in ["", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "::/129", "::/1/1", "a/8", "10.0.0.0/0x8"] {
      #expect(AddressRange(text) == nil, "\(text)")
    }
  }
}
