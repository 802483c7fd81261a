internal import MartletPrimitives

/// What the reader remembers of one chunk stream: the last header, which later ones abbreviate, and the open message.
struct IncomingChunkStream {
  let id: UInt32
  var timestamp: UInt32 = 0
  /// What a type 3 header adds when it begins a message.
  var delta: UInt32 = 0
  /// The extended timestamp field of the last full header, when it had one: type 3 chunks may repeat it.
  var extended: UInt32?
  var length = 0
  var type: MessageType = 0
  var streamID: UInt32 = 0
  var payload: [UInt8] = []
  /// A message has begun and is not complete.
  var isOpen = false

  init(id: UInt32) { self.id = id }

  mutating func open(_ header: ChunkHeader) {
    (timestamp, delta, extended) = (header.timestamp, header.delta, header.extended)
    (length, type, streamID) = (header.length, header.type, header.streamID)
    isOpen = true
  }

  mutating func append(_ bytes: RawSpan) {
    // A first step of 32 KiB holds most frames in one allocation and costs a liar's victim nothing that matters.
    let needed = payload.count + bytes.byteCount
    if payload.capacity < needed { payload.reserveCapacity(min(length, max(needed, payload.capacity * 2, 32_768))) }
    payload.append(bytes)
  }

  mutating func close() -> RTMPMessage {
    let message = RTMPMessage(type: type, streamID: streamID, timestamp: timestamp, chunkStreamID: id, payload: Slice(payload))
    abandon()
    return message
  }

  mutating func abandon() {
    payload = []
    isOpen = false
  }
}
