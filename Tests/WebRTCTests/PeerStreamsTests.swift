import MartletICE
import MartletPeerEngine
import MartletPrimitives
import TestSupport
import Testing

@testable import MartletWebRTC

/// RFC 6544, passive side; frames by RFC 4571.
@Suite(.timeLimit(.minutes(5))) struct PeerStreamsTests {
  private static let success: [UInt8] = [1, 1]

  private func statistics(_ port: PeerPort) async -> PeerStreams.Statistics? { await port.run { $0.socket.streams?.statistics } }

  /// What the peer did has been seen.
  private func wait(for port: PeerPort, _ condition: @escaping @Sendable (PeerStreams.Statistics) -> Bool) async throws {
    while let statistics = await statistics(port), !condition(statistics) { try await Task.sleep(for: .milliseconds(5)) }
  }

  // RFC 8445 §7.3, over a connection
  @Test func `a check is answered over its connection however it was cut, and its pair is used`() async throws {
    let port = try await PeerPort.start()
    for size in [1, 2, 3, 50, 1000] {
      // Each its own: a copy of one that comes from elsewhere is not answered.
      let frame = PeerPort.framed(port.check())
      let client = try RawClient(port: port.streamPort)
      for start in stride(from: 0, to: frame.count, by: size) { client.send(Array(frame[start..<min(frame.count, start + size)])) }
      let answer = try #require(try await PeerPort.datagram(from: client))
      #expect(Array(answer.prefix(2)) == Self.success)
      let selected = await port.run { $0.session.transport.selectedPair?.base.transport }
      #expect(selected == .tcp)
    }
    await port.stop()
  }

  @Test func `who names no session, or sends anything but a check first, is closed at once`() async throws {
    let port = try await PeerPort.start()
    let check = port.check()
    for first in [
      PeerPort.framed(port.check(fragment: "nobody")), PeerPort.framed([22, 1, 2, 3]), PeerPort.framed(Array(check.dropLast())),
      [255, 255], Array("GET / HTTP/1.1\r\n\r\n".utf8),
    ] {
      let client = try RawClient(port: port.streamPort)
      client.send(first)
      #expect(try await PeerPort.isClosed(client))
    }
    let refused = await statistics(port)?.refused
    #expect(refused == 5)
    await port.stop()
  }

  @Test func `a connection that passes no check is closed when its time is over`() async throws {
    var limits = PeerStreams.Limits()
    limits.patience = .milliseconds(50)
    let port = try await PeerPort.start(limits: limits)
    let (silent, wrong, cut) = (
      try RawClient(port: port.streamPort), try RawClient(port: port.streamPort), try RawClient(port: port.streamPort)
    )
    wrong.send(PeerPort.framed(port.check(password: "not-the-password-of-this-session")))
    cut.send([0, 100, 0, 1])
    try await wait(for: port) { $0.refused == 3 }
    for client in [silent, wrong, cut] { #expect(try await PeerPort.isClosed(client)) }
    let count = await port.run { $0.socket.streams?.count }
    #expect(count == 0)
    await port.stop()
  }

  @Test func `one address has few connections without a check, and those with one do not count`() async throws {
    var limits = PeerStreams.Limits()
    limits.waitingPerAddress = 3
    let port = try await PeerPort.start(limits: limits)
    let good = try RawClient(port: port.streamPort)
    good.send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: good) != nil)
    let clients = try (0..<10).map { _ in try RawClient(port: port.streamPort) }
    try await wait(for: port) { $0.refused == 7 }
    #expect(try await PeerPort.isClosed(clients[9]))
    good.send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: good) != nil)
    await port.stop()
  }

  @Test func `when too many wait in all the oldest gives way`() async throws {
    var limits = PeerStreams.Limits()
    limits.waiting = 4
    let port = try await PeerPort.start(limits: limits)
    let clients = try (0..<5).map { _ in try RawClient(port: port.streamPort) }
    try await wait(for: port) { $0.refused == 1 }
    clients[4].send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: clients[4]) != nil)
    await port.stop()
  }

  @Test func `a session has few connections; the oldest that is not in use gives way`() async throws {
    var limits = PeerStreams.Limits()
    limits.perSession = 2
    let port = try await PeerPort.start(limits: limits)
    var clients: [RawClient] = []
    for index in 0..<3 {
      let client = try RawClient(port: port.streamPort)
      client.send(PeerPort.framed(port.check(nominates: index == 0)))
      #expect(try await PeerPort.datagram(from: client) != nil)
      clients.append(client)
    }
    #expect(try await PeerPort.isClosed(clients[1]))
    clients[0].send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: clients[0]) != nil)
    await port.stop()
  }

  @Test func `a peer that does not read loses media, whole packets of it, and is still answered`() async throws {
    let port = try await PeerPort.start()
    let client = try RawClient(port: port.streamPort)
    client.send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: client) != nil)
    var sent = 0
    // More than the kernel takes.
    while await statistics(port)?.dropped == 0 {
      let first = sent
      await port.run { residents in
        guard let streams = residents.socket.streams, let remote = residents.session.transport.selectedPair?.remote else { return }
        for number in first..<first + 100 {
          var packet = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1000 + number % 400)
          packet[0] = 128
          streams.send(packet.span.bytes, to: remote)
        }
      }
      sent += 100
      try #require(sent < 200_000)
    }
    client.send(PeerPort.framed(port.check()))
    var (media, answers) = (0, 0)
    while answers == 0, let datagram = try await PeerPort.datagram(from: client) {
      if datagram[0] == 128 {
        #expect(datagram.count >= 1000 && datagram[1] == datagram[500] && datagram[1] == datagram.last)
        media += 1
      } else {
        answers += 1
      }
    }
    let dropped = try #require(await statistics(port)?.dropped)
    #expect(answers == 1 && media == sent - dropped)
    await port.stop()
  }

  @Test func `the end of a session is the end of its connections`() async throws {
    let port = try await PeerPort.start()
    let client = try RawClient(port: port.streamPort)
    client.send(PeerPort.framed(port.check()))
    #expect(try await PeerPort.datagram(from: client) != nil)
    await port.run { $0.session.close() }
    #expect(try await PeerPort.isClosed(client))
    await port.stop()
  }
}
