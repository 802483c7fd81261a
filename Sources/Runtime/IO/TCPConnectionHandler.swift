internal import MartletPrimitives

/// What a connection tells its protocol driver. All calls come on the loop's thread, never from inside one of the
/// connection's own methods, except `connectionDidClose`, which `close` calls before it returns.
package protocol TCPConnectionHandler: AnyObject {
  /// An outgoing connection is established, over TLS once the handshake is complete.
  func connectionDidOpen(_ connection: TCPConnection)
  /// Bytes arrived; they are valid during the call only.
  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan)
  /// The peer will send no more. The connection stays open for what is still to be written.
  func connectionDidReachEnd(_ connection: TCPConnection)
  /// Less than `TCPConnection.lowWater` is buffered again after `write` answered false.
  func connectionIsWritable(_ connection: TCPConnection)
  /// The last call: the connection is gone.
  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason)
}

extension TCPConnectionHandler {
  package func connectionDidOpen(_ connection: TCPConnection) {}
  package func connectionDidReachEnd(_ connection: TCPConnection) { connection.closeAfterFlush() }
  package func connectionIsWritable(_ connection: TCPConnection) {}
}
