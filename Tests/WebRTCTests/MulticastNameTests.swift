import MartletICE
import MartletIO
import MartletPrimitives
import MartletWebRTC
import Synchronization
import Testing

/// draft-ietf-mmusic-mdns-ice-candidates §3: candidates with names in place of addresses.
@Suite(.timeLimit(.minutes(5))) struct MulticastNameTests {
  /// A neighbour that answers for the addresses that it was given names for.
  private final class Responder: UDPSocketHandler {
    private let names: [DNSName: IPAddress]
    private let answersAll: Bool
    private let listener: UDPSocket
    /// Bound to an address each: the interface to answer the group over.
    private var speakers: [UDPSocket] = []

    init(_ names: [DNSName: IPAddress], answersAll: Bool, in context: LoopContext) throws(SystemError) {
      (self.names, self.answersAll) = (names, answersAll)
      listener = try UDPSocket(MulticastQuery.group, in: context)
      listener.handler = self
      for ip in NetworkInterfaces.addresses(v6: false) {
        try? listener.join(MulticastQuery.group.ip, on: ip)
        speakers.append(try UDPSocket(SocketAddress(ip: ip, port: MulticastQuery.group.port), in: context))
      }
    }

    func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
      guard let question = try? DNSMessage(parsing: UnsafeRawBufferPointer(datagram).bytes), !question.isResponse else { return }
      var answer = DNSMessage(id: answersAll ? 0 : question.id, isResponse: true)
      answer.addresses = question.questions.compactMap { name in names[name].map { DNSMessage.Address(name, $0) } }
      let bytes = answer.encoded()
      guard answersAll else { return listener.send(bytes.span.bytes, to: peer) }
      for speaker in speakers { speaker.send(bytes.span.bytes, to: MulticastQuery.group) }
    }
  }

  private static func name(_ ip: IPAddress) -> String { "neighbour-\(StableHash.of("\(ip)")).local" }

  /// As a browser signals it.
  private static func hidden(_ candidate: PeerConnection.Candidate?) -> PeerConnection.Candidate {
    guard var fields = candidate?.candidate.split(separator: " "), fields.count > 4 else { return .init("") }
    fields[4] = Substring(IPAddress(String(fields[4])).map(name) ?? "")
    return .init(fields.joined(separator: " "), mid: candidate?.mid)
  }

  @Test(arguments: [false, true]) func `a peer that hides its addresses behind names is found`(answersAll: Bool) async throws {
    let addresses = NetworkInterfaces.addresses(v6: true)
    let names = Dictionary(uniqueKeysWithValues: try addresses.map { (try #require(DNSName(Self.name($0))), $0) })
    let worker = Worker(EventLoop(index: 0), log: .silent) { context in
      guard let responder = try? Responder(names, answersAll: answersAll, in: context) else { return }
      context.register(responder)
    }
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let (a, b) = (try PeerConnection(configuration), try PeerConnection(configuration))
    let channel = try await a.createDataChannel("x")
    // Only `a` is told where the other is, and only by names.
    async let signalling: Void = {
      for await event in b.events { if case .candidate(let candidate) = event { try? await a.add(Self.hidden(candidate)) } }
    }()
    try await a.setLocalDescription()
    try await b.setRemoteDescription(try #require(await a.localDescription).withoutCandidates)
    try await b.setLocalDescription()
    try await a.setRemoteDescription(try #require(await b.localDescription).withoutCandidates)
    try await a.waitUntilConnected()
    #expect(await channel.waitUntilOpen())
    await a.close()
    await b.close()
    _ = await signalling
    await worker.run { $0.stop() }
    worker.join()
  }
}

extension PeerConnection.SessionDescription {
  fileprivate var withoutCandidates: Self {
    Self(kind, sdp: sdp.split(separator: "\r\n").filter { !$0.hasPrefix("a=candidate:") }.joined(separator: "\r\n") + "\r\n")
  }
}
