import MartletCodecs
import MartletPrimitives
import MartletRTP
import Testing

@Suite struct AudioPayloadTests {
  private func receive(_ packets: [(Int64, Int64, Slice)], redundant: Bool = false) throws -> [DepacketizerEvent] {
    var depacketizer = redundant ? RTPDepacketizer.redundantAudio : try #require(RTPDepacketizer(.opus))
    var events: [DepacketizerEvent] = []
    for (sequence, timestamp, payload) in packets {
      depacketizer.receive(SequencedPayload(sequence: sequence, timestamp: timestamp, marker: false, payload: payload), into: &events)
    }
    return events
  }

  // RFC 7587 §4.2
  @Test func `each Opus packet is a frame, and a gap is told`() throws {
    let events = try receive([(5, 960, [1]), (6, 1920, []), (7, 2880, [2]), (9, 4800, [3]), (8, 3840, [4])])
    #expect(events.map { $0.unit?.payload } == [[1], [2], nil, [3]])
    #expect(events.compactMap(\.unit).map(\.timestamp) == [960, 2880, 4800])
  }

  // RFC 2198 §3
  @Test func `redundant blocks are read in order`() throws {
    let blocks = try RED.blocks([0xef, 0x0f, 0x00, 2, 0x6f, 1, 2, 3])
    #expect(
      blocks == [
        RED.Block(payloadType: 111, timestampOffset: 960, payload: [1, 2]), RED.Block(payloadType: 111, timestampOffset: 0, payload: [3]),
      ])
    let valid: Slice = [0xef, 0x0f, 0x00, 2, 0x6f, 1, 2]
    for length in 0..<valid.count { #expect((try? RED.blocks(valid.sub(0..<length))) == nil) }
    #expect(throws: ParseError.self) { try RED.blocks(Slice([UInt8](repeating: 0x80, count: 400) + [0])) }
  }

  @Test func `a frame that was lost comes back with the next packet`() throws {
    var encoder = REDEncoder(payloadType: 111)
    var payloads = RTPPayloads()
    var packets: [(Int64, Int64, Slice)] = []
    for index in 0..<6 {
      encoder.encode(Slice([UInt8(index), 0xff]), timestamp: UInt32(truncatingIfNeeded: 0xffff_ff00 + index * 960), into: &payloads)
      packets.append((Int64(index), Int64(index) * 960, payloads.slices[0]))
    }
    #expect(packets[0].2 == [0x6f, 0, 0xff] && packets[1].2 == [0xef, 0x0f, 0x00, 2, 0x6f, 0, 0xff, 1, 0xff])
    let whole = try receive(packets, redundant: true)
    #expect(whole.compactMap(\.unit).map { $0.payload.array[0] } == [0, 1, 2, 3, 4, 5])
    packets.remove(at: 2)
    let healed = try receive(packets, redundant: true)
    #expect(
      healed
        == whole.map { healed.contains($0) ? $0 : .unit(AccessUnit(timestamp: 1920, isKey: true, payload: [2, 0xff], sequences: 3...3)) })
    packets.remove(at: 2)
    #expect(try receive(packets, redundant: true).map { $0.unit?.timestamp } == [0, 960, nil, 2880, 3840, 4800])
  }

  // RFC 2198 §3: 10 bits of length, 14 of time.
  @Test func `what redundancy cannot say is left out`() {
    var encoder = REDEncoder(payloadType: 111)
    var payloads = RTPPayloads()
    encoder.encode(Slice([UInt8](repeating: 0, count: 1024)), timestamp: 0, into: &payloads)
    encoder.encode([1], timestamp: 960, into: &payloads)
    #expect(payloads.slices == [[0x6f, 1]])
    encoder.encode([2], timestamp: 960 + 0x4000, into: &payloads)
    #expect(payloads.slices == [[0x6f, 2]])
    encoder.encode(Slice([UInt8](repeating: 3, count: 1143)), timestamp: 960 + 0x4001, into: &payloads)
    #expect(payloads.totalBytes == 1144)
  }

  // RFC 4733 §2.3
  @Test func `a telephone event is read and written`() throws {
    let bytes: [UInt8] = [11, 0x8a, 3, 0x20]
    let event = try TelephoneEvent(bytes.span.bytes)
    #expect(event == TelephoneEvent(event: 11, isEnd: true, volume: 10, duration: 800))
    var writer = ByteWriter()
    event.write(to: &writer)
    #expect(writer.bytes == bytes)
    for length in 0..<4 {
      let cut = try? TelephoneEvent(Slice(bytes).sub(0..<length).bytes)
      #expect(cut == nil)
    }
  }

  // RFC 3389 §3
  @Test func `comfort noise has a level and perhaps a spectrum`() throws {
    let noise = try ComfortNoise([0xcd, 1, 2])
    #expect(noise.level == 0x4d && noise.spectrum == [1, 2])
    #expect(throws: ParseError.self) { try ComfortNoise([]) }
  }
}
