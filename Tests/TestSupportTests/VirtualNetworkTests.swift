import MartletPrimitives
import TestSupport
import Testing

/// The network that other tests rely on.
@Suite struct VirtualNetworkTests {
  private let a = SocketAddress(ip: .v4(0x0A00_0001), port: 1), b = SocketAddress(ip: .v4(0x0A00_0002), port: 2)

  private func datagram(_ number: Int, from: SocketAddress? = nil) -> VirtualNetwork.Datagram {
    .init(from: from ?? a, to: b, bytes: [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)])
  }

  /// Sends `count` datagrams a millisecond apart and answers what arrives, with the instants.
  private func run(_ network: inout VirtualNetwork, count: Int) -> [(number: Int, at: Instant)] {
    var clock = ManualClock()
    for number in 0..<count {
      network.send(datagram(number), now: clock.now)
      clock.advance(by: .milliseconds(1))
    }
    var arrived: [(Int, Instant)] = []
    while let deadline = network.deadline {
      // The clock is that of the arrivals, which began while it was sent.
      while let next = network.receive(now: deadline) { arrived.append((Int(next.bytes[0]) << 8 | Int(next.bytes[1]), deadline)) }
    }
    return arrived
  }

  @Test func `without faults everything arrives once, in order, after the latency`() {
    var network = VirtualNetwork(seed: 1, latency: .milliseconds(30))
    let arrived = run(&network, count: 100)
    #expect(arrived.map(\.number) == Array(0..<100))
    #expect(arrived.enumerated().allSatisfy { $1.at == .zero + .milliseconds($0 + 30) })
    #expect(network.deadline == nil && network.receive(now: .distantFuture) == nil)
  }

  @Test func `nothing arrives before its time`() {
    var network = VirtualNetwork(seed: 1, latency: .milliseconds(30))
    network.send(datagram(1), now: .zero)
    #expect(network.receive(now: .zero + .milliseconds(29)) == nil)
    #expect(network.receive(now: .zero + .milliseconds(30)) == datagram(1))
  }

  @Test func `one seed is one run, another is another`() {
    func numbers(_ seed: UInt64) -> [Int] {
      var network = VirtualNetwork(seed: seed, loss: 0.2, jitter: .milliseconds(9), reorder: 0.2, duplicate: 0.1)
      return run(&network, count: 500).map(\.number)
    }
    #expect(numbers(7) == numbers(7))
    #expect(numbers(7) != numbers(8))
  }

  @Test(arguments: seeds(5)) func `loss and duplicates come in the share asked for`(seed: UInt64) {
    var network = VirtualNetwork(seed: seed, loss: 0.1, duplicate: 0.05)
    let arrived = run(&network, count: 5000)
    let statistics = network.statistics
    #expect((400...600).contains(statistics.lost) && (170...290).contains(statistics.duplicated))
    #expect(arrived.count == 5000 - statistics.lost + statistics.duplicated && statistics.delivered == arrived.count)
    #expect(Set(arrived.map(\.number)).count == 5000 - statistics.lost)
  }

  @Test func `jitter alone keeps the order, reordering breaks it`() {
    var even = VirtualNetwork(seed: 3, jitter: .milliseconds(40))
    let steady = run(&even, count: 1000).map(\.number)
    #expect(steady == steady.sorted() && even.statistics.reordered == 0)
    var mixed = VirtualNetwork(seed: 3, reorder: 0.1)
    let numbers = run(&mixed, count: 1000).map(\.number)
    #expect(numbers != numbers.sorted() && Set(numbers).count == 1000)
    #expect((60...140).contains(mixed.statistics.reordered))
  }

  @Test func `what is larger than the MTU is dropped`() {
    var network = VirtualNetwork(seed: 1, mtu: 100)
    network.send(.init(from: a, to: b, bytes: [UInt8](repeating: 0, count: 101)), now: .zero)
    network.send(.init(from: a, to: b, bytes: [UInt8](repeating: 0, count: 100)), now: .zero)
    #expect(network.receive(now: .distantFuture)?.bytes.count == 100 && network.deadline == nil)
    #expect(network.statistics.tooLarge == 1)
  }

  @Test func `a network that is down loses what is sent and delivers what was under way`() {
    var network = VirtualNetwork(seed: 1)
    network.send(datagram(1), now: .zero)
    network.isUp = false
    network.send(datagram(2), now: .zero)
    network.isUp = true
    network.send(datagram(3), now: .zero)
    #expect(network.receive(now: .distantFuture) == datagram(1) && network.receive(now: .distantFuture) == datagram(3))
    #expect(network.statistics.lost == 1)
  }

  @Test func `a manual clock goes forward only`() {
    var clock = ManualClock()
    clock.advance(by: .seconds(2))
    clock.advance(to: .zero + .seconds(1))
    #expect(clock.now == .zero + .seconds(2))
  }
}

@Suite struct VirtualPipeTests {
  private let a = SocketAddress(ip: .v4(0x0A00_0001), port: 1), b = SocketAddress(ip: .v4(0x0A00_0002), port: 2)

  private func run(_ network: inout VirtualNetwork, _ left: inout VirtualPipe, _ right: inout VirtualPipe, _ arrived: inout [UInt8]) {
    var clock = ManualClock()
    for _ in 0..<100_000 {
      while let datagram = left.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
      while let datagram = right.pollTransmit(now: clock.now) { network.send(datagram, now: clock.now) }
      guard let next = [network.deadline, left.deadline, right.deadline].compactMap({ $0 }).min() else { return }
      clock.advance(to: next)
      while let datagram = network.receive(now: clock.now) {
        if datagram.to == a { left.receive(datagram.bytes, now: clock.now) } else { right.receive(datagram.bytes, now: clock.now) }
      }
      left.timeout(now: clock.now)
      right.timeout(now: clock.now)
      arrived += right.read()
    }
    Issue.record("the pipe never comes to rest")
  }

  @Test(arguments: seeds(20)) func `bytes arrive once, in order, to the end, whatever the network does`(seed: UInt64) {
    var network = VirtualNetwork(
      seed: seed, loss: 0.1, latency: .milliseconds(15), jitter: .milliseconds(10), reorder: 0.1, duplicate: 0.1, mtu: 500)
    var left = VirtualPipe(local: a, remote: b, mtu: 500), right = VirtualPipe(local: b, remote: a, mtu: 500)
    let bytes = (0..<60_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
    left.write(bytes)
    left.finish()
    var arrived: [UInt8] = []
    run(&network, &left, &right, &arrived)
    #expect(arrived == bytes && right.isAtEnd && left.isDrained && left.retransmissions > 0)
  }

  @Test func `a reset ends both sides`() {
    var network = VirtualNetwork(seed: 1)
    var left = VirtualPipe(local: a, remote: b), right = VirtualPipe(local: b, remote: a)
    left.write([1, 2, 3])
    left.reset()
    var arrived: [UInt8] = []
    run(&network, &left, &right, &arrived)
    #expect(right.isBroken && left.isBroken && arrived.isEmpty && !right.isAtEnd)
  }
}
