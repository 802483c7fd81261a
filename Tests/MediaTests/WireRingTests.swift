import MartletCodecs
import MartletIO
import MartletMedia
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct WireRingTests {
  /// Runs with a live ring of words on a loop.
  private func withRing<R: Sendable>(
    _ limits: WireRing.Limits = .init(), latency: WireRing.Latency = .frame, _ body: @escaping @Sendable (WireRing) throws -> R
  ) async throws -> R {
    let workers = TestWorkers()
    defer { workers.stop() }
    return try await workers.run { context, _ in
      let ring = WireRing(path: .test(), format: WordMuxer.format, limits: limits, latency: latency, in: context)
      ring.configure(opening: Slice(Array("<".utf8)), configuration: Slice(Array("[1]".utf8)), hasVideo: true)
      return try body(ring)
    }
  }

  @Test func `a viewer begins with opening and configuration, at the newest key frame`() async throws {
    let (text, late) = try await withRing { ring in
      for unit in [.test("p0"), .test("k1", join: true), .test("p2"), .test("k3", join: true), .test("p4")] as [WireUnit] {
        ring.append(unit)
      }
      let viewer = TestViewer(ring)
      viewer.sink.take()
      ring.append(.test("a5", .audio))
      return (viewer.sink.text, viewer.sink.take())
    }
    #expect(text == "<[1]k3 p4 " && late == "a5 ")
  }

  @Test(arguments: [1, 2, 3, 7]) func `pieces of any size come to the same`(size: Int) async throws {
    let text = try await withRing { ring in
      let viewer = TestViewer(ring)
      for index in 0..<20 { ring.append(.test("u\(index)", join: index % 5 == 0)) }
      while !viewer.sink.take(size).isEmpty {}
      for index in 20..<25 { ring.append(.test("u\(index)", join: index % 5 == 0)) }
      while !viewer.sink.take(size).isEmpty {}
      return viewer.sink.text
    }
    #expect(text == "<[1]" + (15..<25).map { "u\($0) " }.joined())
  }

  @Test func `without the GOP cache a viewer waits for the next key frame`() async throws {
    let (early, text) = try await withRing(
      {
        var limits = WireRing.Limits()
        limits.cachesGOP = false
        return limits
      }()
    ) { ring in
      ring.append(.test("k0", join: true))
      ring.append(.test("p1"))
      let viewer = TestViewer(ring)
      let early = viewer.sink.take()
      ring.append(.test("p2"))
      ring.append(.test("k3", join: true))
      ring.append(.test("a4", .audio))
      return (early, viewer.sink.take())
    }
    #expect(early == "" && text == "<[1]k3 a4 ")
  }

  @Test func `a slow viewer finishes its unit and goes on at the newest key frame`() async throws {
    var limits = WireRing.Limits()
    limits.bytes = 60
    let (text, skips) = try await withRing(limits) { ring in
      let viewer = TestViewer(ring)
      ring.append(.test("key-0000", join: true))
      viewer.sink.take("<[1]key".utf8.count)
      for index in 1..<40 { ring.append(.test("unit-\(1000 + index)", join: index % 4 == 0)) }
      #expect(ring.base > 1)
      viewer.sink.take()
      return (viewer.sink.text, viewer.reader.skips)
    }
    #expect(text == "<[1]key-0000 unit-1036 unit-1037 unit-1038 unit-1039 " && skips == 1)
  }

  @Test func `a viewer behind a new configuration leaves the old units out`() async throws {
    let (waiting, text, other) = try await withRing { ring in
      let (viewer, upToDate) = (TestViewer(ring), TestViewer(ring))
      ring.append(.test("k0", join: true))
      viewer.sink.take()
      upToDate.sink.take()
      ring.append(.test("p1"))
      upToDate.sink.take()
      ring.configure(opening: Slice(Array("<".utf8)), configuration: Slice(Array("[2]".utf8)), hasVideo: true)
      let waiting = viewer.sink.take()
      ring.append(.test("k2", join: true))
      ring.append(.test("p3"))
      upToDate.sink.take()
      viewer.sink.take()
      return (waiting, viewer.sink.text, upToDate.sink.text)
    }
    #expect(waiting == "" && text == "<[1]k0 [2]k2 p3 ")
    #expect(other == "<[1]k0 p1 [2]k2 p3 ")
  }

  @Test func `hidden kinds are left out until they are shown again`() async throws {
    let text = try await withRing { ring in
      let viewer = TestViewer(ring)
      viewer.reader.setHidden(.audio, true)
      for unit in [.test("k0", join: true), .test("a1", .audio), .test("p2")] as [WireUnit] { ring.append(unit) }
      viewer.sink.take()
      viewer.reader.setHidden(.audio, false)
      ring.append(.test("a3", .audio))
      viewer.sink.take()
      return viewer.sink.text
    }
    #expect(text == "<[1]k0 p2 a3 ")
  }

  @Test func `a paused viewer gets nothing and goes on at the newest key frame`() async throws {
    let (paused, text) = try await withRing { ring in
      let viewer = TestViewer(ring)
      ring.append(.test("k0", join: true))
      viewer.sink.take("<[1]k".utf8.count)
      viewer.reader.setPaused(true)
      for unit in [.test("p1"), .test("k2", join: true), .test("p3")] as [WireUnit] { ring.append(unit) }
      let paused = viewer.sink.take()
      viewer.reader.setPaused(false)
      viewer.sink.take()
      return (paused, viewer.sink.text)
    }
    // The unit that was begun is always finished.
    #expect(paused == "0 " && text == "<[1]k0 k2 p3 ")
  }

  @Test func `a stream that ends and begins again is told, and goes on behind its configuration`() async throws {
    let (heard, text) = try await withRing { ring in
      let viewer = TestViewer(ring)
      ring.append(.test("k0", join: true))
      viewer.sink.take(3)
      ring.end(.unpublished)
      viewer.sink.take()
      let second = TestViewer(ring)
      #expect(second.heard.isEmpty && second.sink.take() == "")
      ring.configure(opening: Slice(Array("<".utf8)), configuration: Slice(Array("[2]".utf8)), hasVideo: true)
      ring.append(.test("k1", join: true))
      viewer.sink.take()
      second.sink.take()
      return ([viewer.heard, second.heard], [viewer.sink.text, second.sink.text])
    }
    #expect(heard == [["begin", "end", "begin"], ["begin"]])
    // The first viewer had begun, and so it gets the rest.
    #expect(text == ["<[1]k0 [2]k1 ", "<[2]k1 "])
  }

  @Test func `the ring keeps no more bytes than its limit, and gives a too long GOP up`() async throws {
    var limits = WireRing.Limits()
    (limits.bytes, limits.units) = (1000, 50)
    let (spans, joins) = try await withRing(limits) { ring in
      var spans: [Int] = []
      ring.append(.test("key-000000", join: true))
      var joins: [Bool] = []
      for _ in 0..<200 {
        ring.append(.test("unit-00000"))
        spans.append((ring.base..<ring.head).reduce(0) { $0 + ring.unit(at: $1).bytes.count })
        joins.append(ring.joinPoint != nil)
      }
      return (spans, joins)
    }
    #expect(spans.allSatisfy { $0 <= 1000 } && spans.contains { $0 > 900 })
    #expect(joins.prefix(49).allSatisfy { $0 } && !joins.dropFirst(50).contains(true))
  }

  @Test func `units older than ten seconds go when nobody can join at them`() async throws {
    let base = try await withRing { ring in
      for second in 0..<30 { ring.append(.test("k", join: true, at: Int64(second) * 1000)) }
      return ring.base
    }
    #expect(base == 19)
  }

  @Test func `a viewer that took nothing for too long is closed, one with nothing to take is not`() async throws {
    let heard = try await withRing { ring in
      let (stuck, idle) = (TestViewer(ring), TestViewer(ring))
      (stuck.sink.lastWrite, idle.sink.lastWrite) = (.zero, .zero)
      ring.append(.test("k0", join: true))
      stuck.sink.take(5)
      idle.sink.take()
      ring.sweep(now: .zero + .seconds(14))
      let early = stuck.heard
      ring.sweep(now: .zero + .seconds(16))
      return [early, stuck.heard, idle.heard]
    }
    #expect(heard == [["begin"], ["begin", "kicked: took nothing for too long"], ["begin"]])
  }

  @Test func `viewers come and go in any order`() async throws {
    let (counts, occupancy) = try await withRing { ring in
      var occupancy: [Int] = []
      ring.occupancyChanged = { occupancy.append($0.readers.count) }
      let viewers = (0..<5).map { TestViewer(ring, id: "\($0)") }
      var counts: [Int] = []
      for index in [1, 4, 0, 3, 2] {
        viewers[index].reader.stop()
        viewers[index].reader.stop()
        counts.append(ring.readers.count)
      }
      return (counts, occupancy)
    }
    #expect(counts == [4, 3, 2, 1, 0] && occupancy == [1, 0])
  }

  // MARK: When viewers are written to

  /// Flushes of a viewer: at the end of the turn, and after 150 ms.
  private func flushes(_ latency: WireRing.Latency, hasVideo: Bool = true, _ units: [WireUnit]) async throws -> [Int] {
    let workers = TestWorkers()
    defer { workers.stop() }
    try await workers.run { context, box in
      let ring = WireRing(path: .test(), format: WordMuxer.format, limits: .init(), latency: latency, in: context)
      ring.configure(opening: Slice(), configuration: Slice(), hasVideo: hasVideo)
      box.rings.append(ring)
      box.viewers["v"] = TestViewer(ring)
      for unit in units { ring.append(unit) }
      // Behind the ring's own end of turn; a later look would race with the timers.
      context.atEndOfTurn { box.flushes = box.viewers["v"]?.sink.flushes ?? 0 }
    }
    func count() async throws -> Int { try await workers.run { _, box in box.viewers["v"]?.sink.flushes ?? 0 } }
    // The first is that of the viewer's own start.
    let now = try await workers.run { _, box in box.flushes } - 1
    try await Task.sleep(nanoseconds: 150_000_000)
    return [now, try await count() - 1]
  }

  @Test func `the lowest latency writes once at the end of every turn`() async throws {
    #expect(try await flushes(.lowest, [.test("a", .audio), .test("p"), .test("a", .audio)]) == [1, 1])
  }

  @Test func `audio waits for the video frame, but not for a stalled one`() async throws {
    #expect(try await flushes(.frame, [.test("a", .audio), .test("p")]) == [1, 1])
    #expect(try await flushes(.frame, [.test("a", .audio), .test("a", .audio)]) == [0, 1])
    #expect(try await flushes(.frame, hasVideo: false, [.test("a", .audio), .test("a", .audio)]) == [1, 1])
  }

  @Test func `gathered output leaves once a span`() async throws {
    #expect(try await flushes(.gathered(.milliseconds(40)), [.test("k", join: true), .test("p"), .test("p")]) == [0, 1])
  }
}
