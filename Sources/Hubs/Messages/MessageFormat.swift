package import MartletPrimitives

/// One way to put messages on a wire: an event of Server-Sent Events, a WebSocket frame with JSON. A channel makes each form
/// of a message once for all who take it; the encoders belong to the endpoints.
package final class MessageFormat {
  /// Also the key: two formats of one name share their bytes.
  package let name: String
  /// The channel, the cursor that the message leads to, and the message.
  package let encode: (ChannelName, Cursor, Message) -> Slice

  package init(name: String, encode: @escaping (ChannelName, Cursor, Message) -> Slice) {
    self.name = name
    self.encode = encode
  }
}
