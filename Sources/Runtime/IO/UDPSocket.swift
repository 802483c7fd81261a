internal import CShims
internal import CUV
internal import Glibc
package import MartletPrimitives

/// What a UDP socket's owner hears, on the loop's thread.
package protocol UDPSocketHandler: AnyObject {
  /// One datagram; its bytes are valid during the call only, and may be overwritten (decrypted) where they are.
  /// - Parameter ecn: the two ECN bits of the IP header; 3 is "congestion experienced".
  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8)
  /// Everything that the kernel had waiting has been delivered: the moment to answer in a batch.
  func socketDidReceiveBatch(_ socket: UDPSocket)
  /// What was sent to `peer` did not arrive.
  func socket(_ socket: UDPSocket, didHear error: ICMPError, about peer: SocketAddress)
}

/// What a router or a host said of a datagram; of IPv4 or IPv6, as the peer's address is.
package struct ICMPError: Equatable, Sendable {
  package let type: UInt8
  package let code: UInt8
  /// The MTU, where that is what it is about.
  package let data: UInt32
}

extension UDPSocketHandler {
  package func socket(_ socket: UDPSocket, didHear error: ICMPError, about peer: SocketAddress) {}
  package func socketDidReceiveBatch(_ socket: UDPSocket) {}
}

/// A UDP socket that reads and writes in batches: `recvmmsg` with GRO in, `sendmmsg` with GSO out, flushed once a turn.
///
/// Datagrams to send are written into the loop's slab, in place (`reserve`, `commit`), so that a packet is encrypted
/// straight to where the kernel reads it. Datagrams of one size to one peer in a row become one GSO send. A full kernel buffer
/// drops what is left of the batch and counts it: datagrams are not queued, since late media is worse than lost media.
package final class UDPSocket: LoopResident {
  /// The largest datagram sent, unless a socket is made for larger ones.
  package static let maximumSend = 1500
  /// The largest that UDP can carry.
  package static let maximumDatagram = 65_507
  /// GSO takes at most 64 segments and 65,507 bytes.
  private static let maximumSegments = 44

  package struct Statistics: Sendable {
    package internal(set) var received = 0, sent = 0
    /// Datagrams that the kernel did not take.
    package internal(set) var dropped = 0
    package internal(set) var sendCalls = 0
    /// To other sockets of the loop.
    package internal(set) var handedOver = 0
  }

  private struct Run {
    var peer: SocketAddress
    var offset: Int
    var count: Int
    var segment: Int
    var segments: Int
    /// A shorter datagram ends a run: nothing may follow it in one GSO send.
    var isClosed: Bool
  }

  package let local: SocketAddress
  package let context: LoopContext
  package var handler: (any UDPSocketHandler)?
  package private(set) var statistics = Statistics()

  private let descriptor: Int32
  private let poll = LoopHandle<uv_poll_t>.make()
  private let buffers: DatagramBuffers
  private var runs: [Run] = []
  private var isOpen = true
  private let isDualStack: Bool
  private let largest: Int
  private var neighbourAddresses: [SocketAddress] = []

  /// - Parameters:
  ///   - buffer: bytes that the kernel may hold in each direction.
  ///   - sharesPort: several workers bind the same port with SO_REUSEPORT.
  ///   - largest: bytes of the largest datagram that is to be sent.
  package convenience init(
    _ address: SocketAddress, in context: LoopContext, buffer: Int = 4 << 20, sharesPort: Bool = false, largest: Int = maximumSend
  ) throws(SystemError) {
    let port = try UDPPort(address, buffer: buffer, sharedWith: sharesPort ? .workers : .listeners)
    self.init(port, in: context, largest: largest)
  }

  /// A port that was bound before, perhaps on another loop.
  package init(_ port: UDPPort, in context: LoopContext, largest: Int = maximumSend) {
    descriptor = port.takeDescriptor()
    local = port.address
    self.context = context
    self.largest = min(largest, Self.maximumDatagram)
    isDualStack = port.isDualStack
    buffers = context.datagrams
    uv_poll_init(context.uv, poll.pointer, descriptor)
    poll.pointer.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    context.add(self)
    watch()
  }

  private func watch() {
    uv_poll_start(poll.pointer, Int32(UV_READABLE.rawValue)) { handle, status, _ in
      guard let data = handle?.pointee.data else { return }
      let socket = Unmanaged<UDPSocket>.fromOpaque(data).takeUnretainedValue()
      withExtendedLifetime(socket) { socket.ready(status) }
    }
  }

  /// An error that waits makes libuv stop watching.
  private func ready(_ status: Int32) {
    if status != 0 {
      takeErrors()
      if isOpen { watch() }
    }
    if isOpen { receive(from: descriptor, rounds: 4) }
  }

  /// What routers and hosts of peers say by ICMP, where the socket was asked to hear it (`hearErrors`).
  private func takeErrors() {
    var error = martlet_udp_error()
    for _ in 0..<Self.maximumErrors where isOpen && martlet_udp_take_error(descriptor, &error) > 0 {
      guard let peer = SocketAddress(error.peer) else { continue }
      handler?.socket(self, didHear: ICMPError(type: error.type, code: error.code, data: error.data), about: peer)
    }
  }
  private static let maximumErrors = 64

  /// From now on the handler hears of ICMP errors.
  package func hearErrors() {
    hearsErrors = true
    martlet_udp_hear_errors(descriptor)
  }
  private var hearsErrors = false

  /// Whether routers may cut datagrams in pieces, which the system decides until this is called. Those that wait have left first.
  package func forbidFragments(_ isForbidden: Bool) {
    guard isForbidden != forbidsFragments else { return }
    if forbidsFragments != nil { flush() }
    forbidsFragments = isForbidden
    martlet_udp_forbid_fragments(descriptor, isForbidden ? 1 : 0)
  }
  private var forbidsFragments: Bool?

  /// Throws what would keep a socket from being bound there.
  package static func probe(_ address: SocketAddress) throws(SystemError) { _ = try UDPPort(address, buffer: 65_536) }

  /// Of a port that several workers share: what `peer` sends comes to this one from now on, wherever the kernel took it to before.
  /// It is heard as what comes in here. The kernel looks through all branches of a port for each datagram: there should be few.
  package func branch(to peer: SocketAddress) throws(SystemError) -> UDPBranch {
    let descriptor = local.withSockaddr { martlet_udp_bind($0, $1, Self.branchBuffer, 1) }
    guard descriptor >= 0 else { throw SystemError("bind UDP \(local)", code: -descriptor) }
    let code = peer.withSockaddr(mapped: isDualStack) { connect(descriptor, $0, $1) == 0 ? 0 : errno }
    guard code == 0 else {
      Glibc.close(descriptor)
      throw SystemError("connect UDP to \(peer)", code: code)
    }
    return UDPBranch(descriptor, of: self)
  }

  private static let branchBuffer: Int32 = 1 << 20

  /// What is sent to a multicast group over the interface that has `address` comes here too. Both are of IPv4.
  package func join(_ group: IPAddress, on address: IPAddress) throws(SystemError) {
    guard case .v4(let group) = group, case .v4(let address) = address else {
      throw SystemError("join \(group) on \(address)", code: EAFNOSUPPORT)
    }
    var request = ip_mreq(imr_multiaddr: in_addr(s_addr: group.bigEndian), imr_interface: in_addr(s_addr: address.bigEndian))
    let code = setsockopt(descriptor, Int32(IPPROTO_IP), IP_ADD_MEMBERSHIP, &request, socklen_t(MemoryLayout<ip_mreq>.size))
    guard code == 0 else { throw SystemError("join a multicast group", code: errno) }
  }

  package func close() {
    guard isOpen else { return }
    isOpen = false
    for address in neighbourAddresses { buffers.neighbours.remove(self, at: address) }
    uv_poll_stop(poll.pointer)
    poll.close()
    Glibc.close(descriptor)
    handler = nil
    context.remove(self)
  }

  internal func loopWillStop() { close() }

  // MARK: Receiving

  /// - Parameters:
  ///   - descriptor: this socket's, or that of a branch, which may be closed by what comes from it.
  ///   - rounds: a few batches a turn, so that a flood leaves room for timers and for the other sockets.
  internal func receive(from descriptor: Int32, rounds: Int) {
    let (entries, inbox) = (buffers.incoming, buffers.inbox)
    for _ in 0..<rounds where isOpen {
      for index in 0..<DatagramBuffers.receiveBatch {
        entries[index].bytes = inbox.baseAddress.map { $0 + index * DatagramBuffers.receiveSlot }
        entries[index].count = UInt32(DatagramBuffers.receiveSlot)
      }
      let count = martlet_udp_receive(descriptor, entries, Int32(DatagramBuffers.receiveBatch))
      guard count > 0 else { break }
      for index in 0..<Int(count) where isOpen { deliver(entries[index], slot: index) }
      if count < DatagramBuffers.receiveBatch { break }
    }
    if isOpen { handler?.socketDidReceiveBatch(self) }
  }

  /// Splits what GRO has joined.
  private func deliver(_ entry: martlet_datagram, slot: Int) {
    guard let peer = SocketAddress(entry.peer) else { return }
    let total = min(Int(entry.count), DatagramBuffers.receiveSlot)
    let size = entry.segment > 0 ? Int(entry.segment) : max(1, total)
    var offset = 0
    while offset < total, isOpen {
      let end = min(total, offset + size)
      let start = slot * DatagramBuffers.receiveSlot
      statistics.received += 1
      let datagram = UnsafeMutableRawBufferPointer(rebasing: buffers.inbox[(start + offset)..<(start + end)])
      handler?.socket(self, didReceive: datagram, from: peer, ecn: entry.ecn)
      offset = end
    }
  }

  // MARK: Sending

  /// Where the next datagram of `size` bytes is to be written; `nil` when there can be none. Nothing is sent until `commit`, before
  /// which no other socket of the loop may reserve.
  package func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    guard isOpen, (1...largest).contains(size) else { return nil }
    return buffers.reserve(size)
  }

  /// Sends the first `size` bytes of what `reserve` answered last; they leave at the end of the turn.
  package func commit(_ size: Int, to peer: SocketAddress) {
    guard isOpen, size > 0, buffers.used + size <= buffers.slab.count else { return }
    if let target = buffers.neighbours.target(at: peer) { return handOver(size, to: target) }
    if runs.isEmpty { buffers.add(self) }
    add(peer, size)
    buffers.commit(size)
  }

  // MARK: Neighbours

  /// Lets other sockets of this loop that do the same send to it directly.
  package func becomeNeighbour() {
    guard neighbourAddresses.isEmpty else { return }
    let isAny = local.ip == .anyV4 || local.ip == .anyV6
    let own = isAny ? NetworkInterfaces.addresses(v6: isDualStack) : [local.ip]
    neighbourAddresses = own.map { SocketAddress(ip: $0, port: local.port) }
    for address in neighbourAddresses { buffers.neighbours.add(self, at: address) }
  }

  /// What was reserved last is for a socket of this loop. As the kernel would, it says that it comes from the address it goes to,
  /// where this socket has all addresses.
  private func handOver(_ size: Int, to target: UDPSocket) {
    let datagram = UnsafeRawBufferPointer(rebasing: buffers.slab[buffers.used..<buffers.used + size])
    let source = local.ip == .anyV4 || local.ip == .anyV6 ? SocketAddress(ip: target.neighbourIP, port: local.port) : local
    if buffers.handOver(datagram, from: source, to: target) { statistics.handedOver += 1 } else { statistics.dropped += 1 }
  }

  private var neighbourIP: IPAddress { neighbourAddresses.first?.ip ?? local.ip }

  internal func receive(_ datagram: UnsafeMutableRawBufferPointer, fromNeighbour source: SocketAddress) {
    guard isOpen else { return }
    statistics.received += 1
    handler?.socket(self, didReceive: datagram, from: source, ecn: 0)
  }

  internal func didReceiveFromNeighbours() {
    if isOpen { handler?.socketDidReceiveBatch(self) }
  }

  package func send(_ bytes: RawSpan, to peer: SocketAddress) {
    guard let slot = reserve(bytes.byteCount) else { return }
    bytes.withUnsafeBytes { slot.copyMemory(from: $0) }
    commit(bytes.byteCount, to: peer)
  }

  private func add(_ peer: SocketAddress, _ size: Int) {
    if let last = runs.indices.last, runs[last].peer == peer, !runs[last].isClosed, size <= runs[last].segment,
      runs[last].segments < Self.maximumSegments, runs[last].count + size <= Self.maximumDatagram,
      runs[last].offset + runs[last].count == buffers.used
    {
      runs[last].count += size
      runs[last].segments += 1
      runs[last].isClosed = size < runs[last].segment
    } else {
      runs.append(Run(peer: peer, offset: buffers.used, count: size, segment: size, segments: 1, isClosed: false))
    }
  }

  /// Sends what has gathered. Called at the end of each turn; may be called before.
  package func flush() {
    var (first, retried) = (0, -1)
    while first < runs.count, isOpen {
      let count = min(Int(MARTLET_UDP_BATCH), runs.count - first)
      for index in 0..<count { fillEntry(index, runs[first + index]) }
      let sent = martlet_udp_send(descriptor, buffers.outgoing, Int32(count))
      statistics.sendCalls += 1
      let taken = sent > 0 ? Int(sent) : 0
      for run in runs[first..<first + taken] { statistics.sent += run.segments }
      first += taken
      guard taken == 0 else { continue }
      // What is reported may be an error of an earlier datagram, and is by that out of the way.
      if hearsErrors, retried != first { retried = first } else { first = skipRefused(first, sent) }
    }
    // A burst must not make thousands of sockets large.
    runs.removeAll(keepingCapacity: runs.capacity <= Self.keptRuns)
  }
  private static let keptRuns = 64

  /// A peer that cannot be reached costs its own datagrams; a full buffer costs the rest of the batch.
  private func skipRefused(_ first: Int, _ code: Int32) -> Int {
    let end = code == -EAGAIN || code == -ENOBUFS ? runs.count : first + 1
    for run in runs[first..<end] { statistics.dropped += run.segments }
    return end
  }

  private func fillEntry(_ index: Int, _ run: Run) {
    let entries = buffers.outgoing
    entries[index].bytes = buffers.slab.baseAddress.map { $0 + run.offset }
    entries[index].count = UInt32(run.count)
    entries[index].segment = run.segments > 1 ? UInt16(run.segment) : 0
    run.peer.withSockaddr(mapped: isDualStack) { address, length in
      withUnsafeMutableBytes(of: &entries[index].peer) {
        $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length)))
      }
      entries[index].peer_length = length
    }
  }
}
