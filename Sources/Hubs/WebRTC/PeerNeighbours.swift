package import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// The other workers of a port that all share. The kernel spreads datagrams and connections by address, which says nothing of where a
/// session lives: a check says it, since the fragment it names begins with the number of the worker; of all else the worker tells,
/// once an address has passed a check.
package final class PeerNeighbours {
  internal weak var socket: PeerSocket?
  private let mesh: PeerMesh
  private let context: LoopContext
  private var links: [Int: WorkerLink<PeerMessage>] = [:]
  /// Whose an address is.
  private var routes: [SocketAddress: Int] = [:]
  /// What came in during this turn, by worker.
  private var batches: [Int: PeerMessage.Datagrams] = [:]
  private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: largest, alignment: 16)

  /// Peers send nothing larger.
  private static let largest = 2048

  package init(_ mesh: PeerMesh, in context: LoopContext) {
    self.mesh = mesh
    self.context = context
    for loop in mesh.rings.loops where loop !== context.loop {
      links[loop.index] = WorkerLink(to: loop, mesh: mesh.rings, in: context) { context, source in
        context.service(PeerNeighbours.self).drain(from: source)
      }
    }
  }

  deinit { scratch.deallocate() }

  /// Datagrams that found no room on their way.
  package var dropped: Int { links.values.reduce(0) { $0 + $1.dropped } }

  // MARK: Whose is it?

  /// What the fragments of a worker's sessions begin with.
  package static func prefix(ofWorker index: Int) -> String { "\(index)+" }

  /// Which other worker a datagram is for.
  internal func worker(of datagram: RawSpan, from peer: SocketAddress) -> Int? { worker(named: datagram) ?? routes[peer] }

  /// The other worker that a check names.
  internal func worker(named datagram: RawSpan) -> Int? {
    guard let first = datagram.byte(at: 0), first < 4, let range = STUN.localFragment(in: datagram) else { return nil }
    var worker = 0
    for index in range.prefix(5) {
      guard let byte = datagram.byte(at: index) else { return nil }
      if byte == UInt8(ascii: "+") { return index > range.lowerBound && links[worker] != nil ? worker : nil }
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      worker = worker * 10 + Int(byte - UInt8(ascii: "0"))
    }
    return nil
  }

  // MARK: To them

  internal func forward(_ datagram: RawSpan, from peer: SocketAddress, to worker: Int) {
    guard datagram.byteCount <= Self.largest else { return }
    batches[worker, default: PeerMessage.Datagrams()].append(datagram, from: peer)
  }

  /// Everything that was waiting in the kernel has been read.
  internal func flush() {
    guard !batches.isEmpty else { return }
    for (worker, batch) in batches { links[worker]?.send(.datagrams(batch)) }
    batches.removeAll(keepingCapacity: true)
  }

  internal func send(_ message: PeerMessage, to worker: Int) { links[worker]?.send(message) }
  internal func sendToOthers(_ message: PeerMessage) { for link in links.values { link.send(message) } }

  /// Whether there may be another branch of the port.
  internal func takeBranch() -> Bool { mesh.takeBranch() }
  internal func returnBranch() { mesh.returnBranch() }

  // MARK: From them

  private func drain(from source: Int) {
    let ring = mesh.rings.ring(from: source, to: context.loop.index)
    while let message = ring.pop() {
      switch message {
      case .datagrams(let batch): receive(batch)
      case .route(let address): routes[address] = source
      // It may have another worker's since.
      case .unroute(let address): if routes[address] == source { routes[address] = nil }
      case .mapped(let address, let server): socket?.discovery?.learn(address, from: server)
      case .stream(let handover, let bytes): socket?.streams?.accept(handover, bytes)
      }
    }
    socket?.settleTouched()
  }

  private func receive(_ batch: PeerMessage.Datagrams) {
    for index in 0..<batch.count {
      let size = batch.bytes[index].byteCount
      guard size <= scratch.count else { continue }
      let datagram = UnsafeMutableRawBufferPointer(rebasing: scratch[..<size])
      batch.bytes[index].withUnsafeBytes { datagram.copyMemory(from: $0) }
      socket?.receiveForwarded(datagram, from: batch.senders[index])
    }
  }
}
