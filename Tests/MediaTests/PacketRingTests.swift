import MartletCodecs
import MartletIO
@testable import MartletMedia
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct PacketRingTests {
  /// A viewer that notes what it hears.
  private final class Listener: PacketReaderOwner {
    var heard: [String] = []
    func readerDidConfigure(_ reader: PacketReader) { heard.append("tracks \(reader.ring.tracks.count)") }
    func readerHasPackets(_ reader: PacketReader) { heard.append("head \(reader.ring.head)") }
    func readerDidEnd(_ reader: PacketReader, _ reason: EndReason) { heard.append("end") }
    func readerWasKicked(_ reader: PacketReader, _ reason: KickReason) { heard.append("kicked") }
  }

  private func withRing<R: Sendable>(
    _ limits: PacketRing.Limits = .init(), layers: [String] = [""], _ body: @escaping @Sendable (PacketRing) throws -> R
  ) async throws -> R {
    let workers = TestWorkers()
    defer { workers.stop() }
    return try await workers.run { context, _ in
      let ring = PacketRing(PacketKey(.test()), limits: limits, in: context)
      ring.configure([PacketTrack(codec: .vp8, clockRate: 90_000, layers: layers), PacketTrack(codec: .opus, clockRate: 48_000)])
      return try body(ring)
    }
  }

  private static func video(_ sequence: Int, layer: UInt8 = 0, key: Bool = false, bytes: Int = 10) -> StreamPacket {
    StreamPacket(
      track: 0, layer: layer, source: 100 + UInt32(layer), sequence: UInt16(truncatingIfNeeded: sequence),
      timestamp: UInt32(truncatingIfNeeded: sequence * 3000), marker: true, startsKeyFrame: key,
      payload: Slice([UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: bytes)))
  }

  @Test func `a viewer begins at the newest key frame of its layer`() async throws {
    let (none, first, second) = try await withRing(layers: ["f", "q"]) { ring in
      let none = ring.joinPoint(track: 0, layer: 0)
      ring.append((0..<20).map { Self.video($0, key: $0 == 4 || $0 == 11) })
      ring.append((0..<5).map { Self.video($0, layer: 1, key: $0 == 2) })
      return (none, ring.joinPoint(track: 0, layer: 0), ring.joinPoint(track: 0, layer: 1))
    }
    #expect(none == nil && first == 11 && second == 22)
  }

  @Test func `the first packet of a key frame is where it begins, though others of it look like a beginning`() async throws {
    let join = try await withRing { ring in
      var packets = (7..<10).map { Self.video($0, key: true) }
      for index in packets.indices { packets[index].timestamp = 5 }
      ring.append([Self.video(6)] + packets)
      return ring.joinPoint(track: 0, layer: 0)
    }
    #expect(join == 1)
  }

  @Test func `a packet that was lost is found by its number, also behind the wrap, and only while it is here`() async throws {
    var limits = PacketRing.Limits()
    limits.packets = 1000
    let found = try await withRing(limits) { ring in
      ring.append((65_000..<66_500).map { Self.video($0, key: $0 == 65_000) })
      return [65_000, 65_499, 65_500, 65_535, 65_536, 66_499, 66_500].map { number in
        ring.packet(source: 100, sequence: UInt16(truncatingIfNeeded: number)).map {
          $0.payload.array[0] == UInt8(truncatingIfNeeded: number)
        }
      }
    }
    #expect(found == [nil, nil, true, true, true, true, nil])
  }

  @Test func `another source's packet of that number is not found, nor that of a source nobody knows`() async throws {
    let found = try await withRing(layers: ["f", "q"]) { ring in
      ring.append([Self.video(1), Self.video(2, layer: 1)])
      return [ring.packet(source: 101, sequence: 1) == nil, ring.packet(source: 9, sequence: 1) == nil]
    }
    #expect(found == [true, true])
  }

  @Test func `memory is bounded in bytes, and a group of pictures that does not fit cannot be joined`() async throws {
    var limits = PacketRing.Limits()
    limits.bytes = 10_000
    let (kept, join) = try await withRing(limits) { ring in
      ring.append((0..<300).map { Self.video($0, key: $0 == 0, bytes: 100) })
      return (ring.head - ring.base, ring.joinPoint(track: 0, layer: 0))
    }
    #expect(kept == 100 && join == nil)
  }

  @Test func `a layer that is sent no more does not keep the packets of the others`() async throws {
    var limits = PacketRing.Limits()
    // All are older than this at once.
    (limits.bytes, limits.age) = (5000, .milliseconds(-1))
    let kept = try await withRing(limits, layers: ["f", "q"]) { ring in
      ring.append([Self.video(0, layer: 1, key: true)])
      for range in [0..<90, 90..<100] { ring.append(range.map { Self.video($0, key: $0 == 0 || $0 == 90, bytes: 100) }) }
      return ring.head - ring.base
    }
    #expect(kept == 10)
  }

  @Test func `packets of a track that was not announced are not taken`() async throws {
    let head = try await withRing { ring in
      var packet = Self.video(1)
      packet.track = 2
      ring.append([packet, Self.video(2)])
      return ring.head
    }
    #expect(head == 1)
  }

  @Test func `the layer with the most bytes is the largest picture`() async throws {
    let busiest = try await withRing(layers: ["q", "h", "f"]) { ring in
      ring.append((0..<9).map { Self.video($0, layer: UInt8($0 % 3), bytes: $0 % 3 == 1 ? 900 : 100) })
      return ring.busiestLayer(track: 0, of: 3)
    }
    #expect(busiest == 1)
  }

  @Test func `viewers hear of tracks, of packets once a turn, and of the end`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    let listener = try await workers.run { context, _ in
      let ring = PacketRing(PacketKey(.test()), in: context)
      let listener = Listener()
      let reader = PacketReader(ring: ring, client: .test("viewer", .test(), .viewer))
      reader.owner = listener
      var occupied: [Bool] = []
      ring.occupancyChanged = { occupied.append(!$0.readers.isEmpty) }
      ring.add(reader)
      ring.configure([PacketTrack(codec: .vp8, clockRate: 90_000)])
      ring.append([Self.video(0, key: true)])
      ring.append([Self.video(1)])
      context.atEndOfTurn {
        ring.end(.unpublished)
        ring.remove(reader)
        listener.heard.append("occupied \(occupied)")
      }
      return Unchecked(listener)
    }
    try await workers.until { try await workers.run { _, _ in listener.value.heard.count == 4 } }
    let heard = try await workers.run { _, _ in listener.value.heard }
    #expect(heard == ["tracks 1", "head 2", "end", "occupied [true, false]"])
  }

  /// Carries what lives on the loop through the test, which touches it there alone.
  private struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
  }

  // MARK: Layers that rest

  @Test func `a layer that rests is counted with what it had, and goes on with that when it wakes`() async throws {
    let rates = try await withRing(layers: ["q", "f"]) { ring in
      var tracks = ring.tracks
      tracks[0].resting = [1: 700_000]
      ring.configure(tracks)
      let resting = ring.layerRates(of: 0, now: Instant(nanoseconds: 0)).map(\.rate)
      let busiest = ring.busiestLayer(track: 0, of: 2)
      tracks[0].resting = [:]
      ring.configure(tracks)
      return (resting, busiest, ring.layerRates(of: 0, now: Instant(nanoseconds: 0)).map(\.rate))
    }
    #expect(rates.0 == [700_000] && rates.1 == 1 && rates.2 == [700_000])
  }

  @Test func `readers are not told that a layer rests, and what they could join at stays`() async throws {
    let (heard, join) = try await withRing(layers: ["q", "f"]) { ring in
      let listener = Listener()
      let reader = PacketReader(ring: ring, client: .test("v", .test(), .viewer))
      reader.owner = listener
      ring.add(reader)
      ring.append([Self.video(1, key: true)])
      var tracks = ring.tracks
      tracks[0].resting = [1: 700_000]
      ring.configure(tracks)
      return (listener.heard, ring.joinPoint(track: 0, layer: 0))
    }
    #expect(heard == ["tracks 2"] && join == 0)
  }

  @Test func `what readers watch is told once for all of them`() async throws {
    let demands = try await withRing(layers: ["q", "f"]) { ring in
      var demands: [UInt32] = []
      ring.demandChanged = { demands.append($0.demand.layers(of: 0)) }
      let readers = (0..<2).map { _ in PacketReader(ring: ring, client: .test("v", .test(), .viewer)) }
      readers[0].demand.insert(0, of: 0)
      for reader in readers { ring.add(reader) }
      readers[1].demand.insert(0, of: 0)
      readers[1].demand.insert(1, of: 0)
      ring.remove(readers[1])
      ring.remove(readers[0])
      return demands
    }
    #expect(demands == [1, 3, 1, 0])
  }
}
