internal import MartletICE
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// A UDP socket on one address of this machine: a host candidate, and what STUN servers see of it.
final class HostSocket: UDPSocketHandler {
  let socket: UDPSocket
  let base: ICEBase
  private unowned let owner: PeerConnectionCore
  /// Questions to STUN servers that are not answered yet.
  private var queries: [(query: BindingQuery, server: SocketAddress)] = []

  init(_ ip: IPAddress, index: UInt32, owner: PeerConnectionCore, in context: LoopContext) throws(SystemError) {
    socket = try UDPSocket(SocketAddress(ip: ip, port: 0), in: context)
    base = ICEBase(socket: index, address: socket.local)
    self.owner = owner
    socket.handler = self
  }

  var isAsking: Bool { !queries.isEmpty }

  func ask(_ server: SocketAddress, random: inout RandomSource, now: Instant) {
    let query = BindingQuery(random: &random, now: now)
    queries.append((query, server))
    let request = query.request
    socket.send(request.span.bytes, to: server)
  }

  var deadline: Instant? { queries.compactMap(\.query.deadline).min() }

  func timeout(now: Instant) {
    for index in queries.indices.reversed() {
      switch queries[index].query.timeout(now: now) {
      case .transmit:
        let (query, server) = queries[index]
        let request = query.request
        socket.send(request.span.bytes, to: server)
      case .failed: queries.remove(at: index)
      default: break
      }
    }
  }

  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    if let index = queries.firstIndex(where: { $0.server == peer }) {
      do throws(STUNError) {
        var query = queries[index].query
        let answer = try query.receive(UnsafeRawBufferPointer(datagram).bytes)
        queries.remove(at: index)
        if case .mapped(let address) = answer { owner.didLearn(address, of: base, from: peer.ip) }
        return
      } catch {}
    }
    owner.session.receive(datagram, from: peer, on: base)
  }

  func socketDidReceiveBatch(_ socket: UDPSocket) { owner.session.settle() }
}
