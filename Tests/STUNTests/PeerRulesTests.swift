import MartletPrimitives
import MartletSTUN
import Testing

/// RFC 8656 §21.1.4; ranges of RFC 6890 and the IANA special-purpose registries.
@Suite struct PeerRulesTests {
  private func rules(allow: [String] = [], deny: [String] = []) -> PeerRules {
    PeerRules(allow: allow.compactMap { AddressRange($0) }, deny: deny.compactMap { AddressRange($0) })
  }

  private func allows(_ rules: PeerRules, _ address: String) throws -> Bool {
    rules.verdict(of: try #require(IPAddress(address), "\(address)")) == .allowed
  }

  @Test(arguments: [
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "192.0.0.170", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255",
    "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::127.0.0.1", "::ffff:0:127.0.0.1", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "3fff::1", "2001:2::1",
    "2001::1", "2001:10::1", "100::1", "64:ff9b:1::1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "2002:7f00:1::1",
    "2002:c0a8:101::1",
  ])
  func `an address that is not of the public internet is denied`(address: String) throws {
    #expect(try !allows(rules(), address))
  }

  @Test(arguments: [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "223.255.255.255", "2606:4700::1111", "2a00::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:4860::1",
  ])
  func `a public address is allowed`(address: String) throws {
    #expect(try allows(rules(), address))
  }

  @Test func `the most specific range decides, and deny goes before allow, and both before what is built in`() throws {
    let some = rules(allow: ["10.0.0.0/8", "10.1.2.3"], deny: ["10.1.0.0/16", "8.0.0.0/8"])
    #expect(try allows(some, "10.2.0.1") && !allows(some, "10.1.0.1") && allows(some, "10.1.2.3") && !allows(some, "8.8.8.8"))
    #expect(try !allows(rules(allow: ["10.0.0.0/8"], deny: ["10.0.0.0/8"]), "10.0.0.1"))
    #expect(try allows(rules(allow: ["127.0.0.0/8"]), "127.0.0.1") && allows(rules(allow: ["::1"]), "::1"))
    #expect(try !allows(rules(allow: ["0.0.0.0/0", "::/0"]), "127.0.0.1"), "allowing all allows nothing that is special")
    #expect(try allows(rules(allow: ["::ffff:10.0.0.0/104"]), "10.0.0.1"))
  }

  @Test func `an address that stands for another is judged by it, or by a range of its own form`() throws {
    #expect(try allows(rules(allow: ["10.0.0.0/8"]), "64:ff9b::10.0.0.1"))
    #expect(try !allows(rules(deny: ["8.8.8.0/24"]), "64:ff9b::8.8.8.8") && !allows(rules(deny: ["8.8.8.8"]), "2002:808:808::1"))
    #expect(try !allows(rules(deny: ["2002::/16"]), "2002:808:808::1") && allows(rules(allow: ["64:ff9b::/96"]), "64:ff9b::10.0.0.1"))
  }

  @Test func `at the server's own addresses peers are where relays are`() throws {
    let (own, port) = (try #require(IPAddress("192.168.1.5")), UInt16(50_000))
    let of = { (rules: PeerRules, port: UInt16) in rules.verdict(of: SocketAddress(ip: own, port: port)) }
    let closed = PeerRules(own: [own])
    #expect(closed.verdict(of: own) == .denied(.ownAddress(own)) && of(closed, port) == .denied(.ownAddress(own)))
    let open = PeerRules(own: [own], ownPorts: [49_152...65_535])
    #expect(open.verdict(of: own) == .allowed && of(open, port) == .allowed && of(open, 22) == .denied(.ownAddress(own)))
    let range = try #require(AddressRange("192.168.0.0/16"))
    #expect(of(PeerRules(allow: [range], own: [own]), 22) == .denied(.ownAddress(own)), "a wide range does not mean the server itself")
    #expect(of(PeerRules(allow: [AddressRange(own)], own: [own]), 22) == .allowed)
    let denying = PeerRules(deny: [AddressRange(own)], own: [own], ownPorts: [49_152...65_535])
    #expect(denying.verdict(of: own) == .denied(.configured(AddressRange(own))) && of(denying, port) != .allowed)
  }

  @Test func `loopback as an own address needs no rule but that for loopback`() throws {
    let loopback = try #require(IPAddress("127.0.0.1"))
    let range = try #require(AddressRange("127.0.0.0/8"))
    let allowing = PeerRules(allow: [range], own: [loopback], ownPorts: [49_152...65_535])
    #expect(allowing.verdict(of: SocketAddress(ip: loopback, port: 22)) == .allowed)
    let closed = PeerRules(own: [loopback], ownPorts: [49_152...65_535])
    #expect(closed.verdict(of: SocketAddress(ip: loopback, port: 50_000)) == .allowed)
    #expect(closed.verdict(of: SocketAddress(ip: loopback, port: 22)) != .allowed)
  }

  @Test func `a refusal says which range and which setting`() throws {
    guard case .denied(let reason) = rules().verdict(of: try #require(IPAddress("169.254.169.254"))) else {
      Issue.record("allowed")
      return
    }
    #expect("\(reason)" == "169.254.0.0/16 is link-local; turn.peers.allow may permit it")
  }
}
