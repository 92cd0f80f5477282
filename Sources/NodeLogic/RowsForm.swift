// How rows reach the client that asked for them: one way for the rows of a select in progress, of a single row, of a
// view and of a description.

internal import CQL
internal import Encoding
internal import Model
internal import NativeProtocol

/// How a client wants the rows of one request.
struct RowsForm {
    let columns: RowsMetadata
    /// The client asked for rows without the columns' names and types.
    var skipsMetadata = false
    /// The client knows other columns than these are (v5): it is told them whatever it asked for.
    var hasOtherColumns = false
}

extension Shard {
    /// Answers with the rows that `write` writes, each ended by `endRow`.
    func answer(
        _ client: ClientRequest, _ form: RowsForm, pagingState: [UInt8]? = nil,
        rows write: (inout RowsWriter) -> Void
    ) {
        answer(client) { encoder in
            var writer = RowsWriter(
                encoder, client.version, stream: client.stream, form.columns,
                skipMetadata: form.skipsMetadata, hasOtherColumns: form.hasOtherColumns,
                prefix: client.prefix)
            write(&writer)
            writer.finish(pagingState: pagingState)
        }
    }

    /// Answers with rows that are encoded already.
    func answer(_ client: ClientRequest, _ form: RowsForm, _ result: SelectResult) {
        answer(client, form) { writer in
            result.rows.withBytes { writer.appendRows($0, count: result.rowCount) }
        }
    }

    /// Answers with rows that are all there already.
    func answerRows(
        _ client: ClientRequest, _ columns: RowsMetadata, _ rows: some Collection<SystemRow>,
        pagingState: [UInt8]? = nil
    ) {
        answer(client, RowsForm(columns: columns), pagingState: pagingState) { writer in
            for row in rows {
                for value in row {
                    if let value {
                        value.withBytes { writer.append($0) }
                    } else {
                        writer.append(nil)
                    }
                }
                writer.endRow()
            }
        }
    }
}
