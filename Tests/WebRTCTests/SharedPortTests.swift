import MartletICE
import MartletIO
import MartletPeerEngine
import MartletPrimitives
import TestSupport
import Testing

@testable import MartletWebRTC

/// Several workers on one port. Where the kernel takes a peer follows from its address, so many peers come to every worker.
@Suite(.timeLimit(.minutes(5))) struct SharedPortTests {
  private func start(_ count: Int) async throws -> [PeerPort] {
    let loops = (0..<count).map { EventLoop(index: $0) }
    let mesh = PeerMesh(loops: loops)
    var ports: [PeerPort] = []
    for loop in loops { ports.append(try await PeerPort.start(on: ports.first?.port ?? 0, mesh: mesh, loop: loop)) }
    return ports
  }

  @Test func `a connection is handed to the worker that its check names`() async throws {
    let ports = try await start(3)
    for port in ports {
      for _ in 0..<12 {
        let client = try RawClient(port: ports[0].port)
        // What came behind the check goes along.
        client.send(PeerPort.framed(port.check()) + PeerPort.framed(port.check()))
        #expect(try await PeerPort.datagram(from: client) != nil)
        #expect(try await PeerPort.datagram(from: client) != nil)
      }
    }
    var handed = 0
    for port in ports { handed += await port.run { $0.socket.streams?.statistics.accepted ?? 0 } - 12 }
    // One that was handed over is counted at both.
    #expect(handed > 0)
    let stranger = try RawClient(port: ports[0].port)
    stranger.send(PeerPort.framed(ports[0].check(fragment: "9+nobody")))
    #expect(try await PeerPort.isClosed(stranger))
    for port in ports { await port.stop() }
  }

  @Test func `datagrams come to the worker of their session: checks by their name, all else by the address`() async throws {
    let ports = try await start(2)
    let target = SocketAddress(ip: .v4(0x7F00_0001), port: ports[0].port)
    var peers: [DatagramClient] = []
    for index in 0..<16 {
      let (peer, port) = (try DatagramClient(to: target), ports[index % 2])
      peer.send(port.check())
      let answer = try await blocking { peer.receive() }
      #expect(answer?.prefix(2) == [1, 1])
      peers.append(peer)
    }
    let before = [await received(ports[0]), await received(ports[1])]
    // SRTP, for which there are no keys yet: it is counted where the session is.
    for (index, peer) in peers.enumerated() where index % 2 == 0 { peer.send([128, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]) }
    while await ports[0].run({ $0.session.transport.drops.early }) < 8 { try await Task.sleep(for: .milliseconds(5)) }
    let after = [await received(ports[0]), await received(ports[1])]
    #expect(after[0] == before[0] + 8 * 14 && after[1] == before[1])
    let forwarded = [await ports[0].run { $0.socket.statistics.forwarded }, await ports[1].run { $0.socket.statistics.forwarded }]
    #expect(forwarded[0] + forwarded[1] > 0)
    for port in ports { await port.stop() }
  }

  private func received(_ port: PeerPort) async -> Int { await port.run { $0.session.bytesReceived } }
}
