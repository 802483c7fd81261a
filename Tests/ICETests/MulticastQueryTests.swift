import MartletICE
import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 1035 §4 (messages), RFC 6762 §5.1, §6.7 (one-shot queries), draft-ietf-mmusic-mdns-ice-candidates §3.2.
struct MulticastQueryTests {
  private static let text = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
  private let ip = IPAddress.v4(0xC000_0201)

  private func begin(_ now: Instant = .zero) throws -> (query: MulticastQuery, id: UInt16, name: DNSName) {
    var random = RandomSource(seed: 1)
    let name = try #require(DNSName(Self.text))
    let query = MulticastQuery(name, random: &random, now: now)
    return (query, try DNSMessage(parsing: query.request.span.bytes).id, name)
  }

  private func answer(_ id: UInt16, _ addresses: [(DNSName, IPAddress)]) -> DNSMessage {
    var message = DNSMessage(id: id, isResponse: true)
    message.addresses = addresses.map { DNSMessage.Address($0.0, $0.1) }
    return message
  }

  // RFC 1035 §4.1.1, §4.1.2
  @Test func `a question is two entries, A and AAAA of class IN, and wants no recursion`() throws {
    let (query, id, name) = try begin()
    let label = [UInt8(36)] + Array(Self.text.utf8.prefix(36)) + [5] + Array("local".utf8) + [0]
    let header: [UInt8] = [UInt8(id >> 8), UInt8(id & 255), 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    #expect(query.request == header + label + [0, 1, 0, 1] + label + [0, 28, 0, 1])
    #expect(try DNSMessage(parsing: query.request.span.bytes).questions == [name])
  }

  // RFC 6762 §5.2
  @Test func `it is asked at 0, 1 and 3 s and given up at 6 s`() throws {
    var query = try begin().query
    #expect(query.timeout(now: .zero + .milliseconds(999)) == .none)
    #expect(query.timeout(now: .zero + .seconds(1)) == .transmit)
    #expect(query.timeout(now: .zero + .seconds(3)) == .transmit)
    #expect(query.deadline == .zero + .seconds(6))
    #expect(query.timeout(now: .zero + .seconds(6)) == .failed)
    #expect(query.deadline == nil)
  }

  // RFC 6762 §6.7, §18.1
  @Test func `an answer to us alone names the question, one to all need not`() throws {
    var (query, id, name) = try begin()
    #expect(query.receive(answer(id ^ 1, [(name, ip)]), .unicast) == nil)
    #expect(query.receive(answer(0, [(name, ip)]), .unicast) == nil)
    #expect(query.deadline != nil)
    var other = query
    #expect(query.receive(answer(id, [(name, ip)]), .unicast) == ip)
    #expect(other.receive(answer(0, [(name, ip)]), .multicast) == ip)
    // It is over.
    #expect(query.deadline == nil && query.receive(answer(id, [(name, ip)]), .unicast) == nil)
  }

  @Test func `questions, other names and addresses of one interface answer nothing`() throws {
    var (query, id, name) = try begin()
    var question = answer(id, [(name, ip)])
    question.isResponse = false
    #expect(query.receive(question, .multicast) == nil)
    let other = try #require(DNSName("other.local"))
    #expect(query.receive(answer(id, [(other, ip)]), .multicast) == nil)
    #expect(query.receive(answer(id, [(name, try #require(IPAddress("fe80::1")))]), .multicast) == nil)
    let upper = try #require(DNSName(Self.text.uppercased()))
    #expect(query.receive(answer(id, [(other, .v4(1)), (upper, ip)]), .multicast) == ip)
  }

  // draft-ietf-mmusic-mdns-ice-candidates §3.2.1
  @Test func `of several addresses an IPv6 one is taken`() throws {
    var (query, id, name) = try begin()
    let v6 = try #require(IPAddress("2001:db8::1"))
    #expect(query.receive(answer(id, [(name, ip), (name, v6)]), .unicast) == v6)
  }

  // RFC 1035 §4.1.4, RFC 6762 §18.13
  @Test func `names in answers may point back, and the class may have its flush bit`() throws {
    var (query, id, _) = try begin()
    var bytes: [UInt8] = query.request
    bytes.replaceSubrange(0..<12, with: [UInt8(id >> 8), UInt8(id & 255), 0x84, 0, 0, 2, 0, 1, 0, 0, 0, 0])
    bytes += [0xC0, 12, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 1]
    #expect(query.receive(try DNSMessage(parsing: bytes.span.bytes), .unicast) == ip)
    for end in 0..<bytes.count { #expect(throws: ParseError.self) { try DNSMessage(parsing: bytes.span.extracting(0..<end).bytes) } }
  }

  @Test(
    arguments: [
      // To itself, forward, to another pointer that points to it.
      [0xC0, 12], [0xC0, 14, 0, 1, 0, 1, 0], [1, 97, 0xC0, 14], [0xC0], [0x40, 97], [0x80, 97], [63, 1], [0xFF, 0xFF],
    ] as [[UInt8]]) func `names that go in circles or nowhere are refused`(name: [UInt8])
  {
    let message: [UInt8] = [0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0] + name + [0, 1, 0, 1]
    #expect(throws: ParseError.self) { try DNSMessage(parsing: message.span.bytes) }
  }

  @Test func `a name has its limits, also where pointers make it long`() throws {
    let label = String(repeating: "a", count: 63)
    #expect(DNSName([label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")) != nil)
    #expect(DNSName([label, label, label, String(repeating: "b", count: 62)].joined(separator: ".")) == nil)
    for text in ["", ".", "a..local", "a.", label + "a"] { #expect(DNSName(text) == nil) }
    // Each question is a label and a pointer to the question before.
    var message: [UInt8] = [0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0] + [63] + label.utf8 + [0, 0, 1, 0, 1]
    var last = 12
    for _ in 0..<4 {
      let start = message.count
      message += [63] + Array(label.utf8) + [0xC0, UInt8(last), 0, 1, 0, 1]
      last = start
    }
    #expect(throws: ParseError.limit("bytes of a name", maximum: 255)) { try DNSMessage(parsing: message.span.bytes) }
  }

  @Test func `more entries than a message may have are refused before they are read`() {
    let message: [UInt8] = [0, 0, 0x84, 0, 0, 0, 0, 129, 0, 0, 0, 0]
    #expect(throws: ParseError.limit("entries of a DNS message", maximum: 128)) { try DNSMessage(parsing: message.span.bytes) }
  }

  // draft-ietf-mmusic-mdns-ice-candidates §3.2.1
  @Test func `one label and local are asked of the neighbours, all else of the system`() throws {
    let names = [Self.text: true, "A.LOCAL": true, "a.b.local": false, "local": false, "example.org": false]
    for (text, isMulticast) in names { #expect(try #require(DNSName(text)).isMulticast == isMulticast) }
  }
}
