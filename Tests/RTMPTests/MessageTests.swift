import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

@Suite struct MessageTests {
  // RTMP 1.0 §5.4.
  @Test(arguments: [
    ProtocolControl.setChunkSize(4096), .abort(chunkStreamID: 6), .acknowledgement(.max), .windowAcknowledgementSize(2_500_000),
    .setPeerBandwidth(5_000_000, .soft),
  ])
  func `protocol control comes back as it was written`(control: ProtocolControl) throws {
    #expect(control.message.chunkStreamID == 2 && control.message.streamID == 0)
    #expect(try ProtocolControl(control.message) == control)
    for end in 0..<4 {
      var cut = control.message
      cut.payload = cut.payload.sub(0..<end)
      #expect(throws: RTMPError.malformedMessage(cut.type, .truncated(at: 0, needed: 4))) { try ProtocolControl(cut) }
    }
  }

  // RTMP 1.0 §7.1.7.
  @Test(arguments: [
    UserControl.streamBegin(1), .streamEOF(1), .streamDry(2), .setBufferLength(1, milliseconds: 3000), .streamIsRecorded(1),
    .pingRequest(77), .pingResponse(77), .bufferEmpty(1), .bufferReady(1),
  ])
  func `user control comes back as it was written`(event: UserControl) throws {
    #expect(try UserControl(event.message) == event)
    for end in 0..<event.message.payload.count {
      var cut = event.message
      cut.payload = cut.payload.sub(0..<end)
      #expect(throws: RTMPError.self) { try UserControl(cut) }
    }
  }

  // RTMP 1.0 §7.1.1.
  @Test(arguments: [Command.Encoding.amf0, .amf3]) func `commands travel in both message types`(encoding: Command.Encoding) throws {
    let command = Command("publish", transaction: 5, object: .null, ["cam", "live"], encoding: encoding)
    let message = command.message(streamID: 1)
    #expect(message.type == (encoding == .amf3 ? .commandAMF3 : .command))
    #expect(try Command(message) == command)
  }

  @Test func `a command needs a name`() {
    let message = RTMPMessage(type: .command, streamID: 0, timestamp: 0, chunkStreamID: 3, payload: Slice(AMF0.encode([1, 2])))
    #expect(throws: RTMPError.self) { try Command(message) }
    #expect(Command("x").argument(3) == .undefined)
  }

  // RTMP 1.0 §7.1.6.
  @Test func `an aggregate becomes its messages, on the aggregate's time line`() throws {
    var writer = ByteWriter()
    for (type, time, body) in [(9, 5000, [1, 2, 3]), (8, 5010, []), (18, 5040, [7])] as [(UInt8, UInt32, [UInt8])] {
      writer.u8(type)
      writer.u24(UInt32(body.count))
      writer.u24(time)
      writer.u8(0)
      writer.u24(0)
      writer.append(body)
      writer.u32(UInt32(11 + body.count))
    }
    func split(_ payload: Slice, limit: Int = 4096) throws -> [RTMPMessage] {
      try Aggregate.split(
        RTMPMessage(type: .aggregate, streamID: 3, timestamp: 900, chunkStreamID: 6, payload: payload), limit: limit)
    }
    let messages = try split(writer.slice)
    #expect(messages.map(\.timestamp) == [900, 910, 940])
    #expect(messages.map(\.type) == [.video, .audio, .data])
    #expect(messages.map(\.payload) == [[1, 2, 3], [], [7]] && messages.allSatisfy { $0.streamID == 3 })
    #expect(try split(writer.slice.sub(0..<writer.count - 4)) == messages, "the last back pointer may be missing")
    #expect(throws: RTMPError.malformedMessage(.aggregate, .limit("the number of messages in an aggregate", maximum: 2))) {
      try split(writer.slice, limit: 2)
    }
    for end in 1..<writer.count where ![14, 18, 29, 33, 45].contains(end) {
      #expect(throws: RTMPError.self) { try split(writer.slice.sub(0..<end)) }
    }
    #expect(throws: RTMPError.self) { try split([22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]) }
  }

  @Test func `query strings are parsed, and shown without their values`() {
    let (name, query) = QueryParameters.split("cam?token=a%2Bb+c==&x&token=second")
    #expect(name == "cam" && query["token"] == "a+b+c==" && query["x"] == "" && query["y"] == nil)
    #expect("\(query)" == "token=…&x=…&token=…")
    #expect(QueryParameters.split("cam").query.isEmpty)
    #expect(QueryParameters(String(repeating: "a=1&", count: 1000)).items.count == 64)
    #expect(QueryParameters("a=%zz%4").items == [.init(name: "a", value: "%zz%4")])
  }
}
