// Speaks to a server of the Open Inference Protocol with @grpc/grpc-js and the
// stubs that it makes of the project's .proto file.
//
//   node oip_grpc.js HOST:PORT inference.proto
//
// The server has the models that testdata/oip_clients.py describes. Every check
// is an assert; at the end comes "all good".
'use strict';
const assert = require('node:assert');
const {createRequire} = require('node:module');
const {promisify} = require('node:util');

// The packages lie beside the tools and not beside this file.
const from = createRequire(process.env.NODE_TOOLS + '/');
const grpc = from('@grpc/grpc-js');
const loader = from('@grpc/proto-loader');

const [address, proto] = process.argv.slice(2);
const definition = loader.loadSync(proto, {keepCase: true, longs: String, enums: String, defaults: true, oneofs: true});
const {GRPCInferenceService} = grpc.loadPackageDefinition(definition).inference;
const client = new GRPCInferenceService(address, grpc.credentials.createInsecure());
const call = (name, request) => promisify(client[name].bind(client))(request);

const count = (n) => ({model_name: 'count', id: 's', inputs: [{name: 'n', datatype: 'INT64', shape: [1], contents: {int64_contents: [n]}}]});

async function main() {
  assert.strictEqual((await call('ServerLive', {})).live, true);
  assert.strictEqual((await call('ServerReady', {})).ready, true);
  assert.strictEqual((await call('ModelReady', {name: 'nobody'})).ready, false);
  assert.strictEqual((await call('ServerMetadata', {})).name, 'millwright');
  const model = await call('ModelMetadata', {name: 'count'});
  assert.deepStrictEqual(model.inputs, [{name: 'n', datatype: 'INT64', shape: ['1']}]);
  const config = await call('ModelConfig', {name: 'count'});
  assert.strictEqual(config.config.input[0].data_type, 'TYPE_INT64');

  // Typed contents come back as such, also beyond 53 bits.
  const typed = await call('ModelInfer', count('9007199254740993'));
  assert.deepStrictEqual(typed.outputs[0].contents.int64_contents, ['9007199254740993']);
  assert.strictEqual(typed.id, 's');
  // Raw bytes come back as such.
  const request = count('1');
  delete request.inputs[0].contents;
  request.raw_input_contents = [Buffer.from([1, 0, 0, 0, 0, 0, 0, 128])];
  const raw = await call('ModelInfer', request);
  assert.deepStrictEqual([...raw.raw_output_contents[0]], [1, 0, 0, 0, 0, 0, 0, 128]);

  await assert.rejects(call('ModelInfer', {model_name: 'nobody'}), {code: grpc.status.NOT_FOUND});
  await assert.rejects(call('ModelInfer', {model_name: 'count'}), {code: grpc.status.INVALID_ARGUMENT});
  await assert.rejects(call('RepositoryModelLoad', {model_name: 'count'}), {code: grpc.status.UNIMPLEMENTED});
  const stats = await call('ModelStatistics', {name: 'count'});
  assert.strictEqual(stats.model_stats[0].inference_stats.success.count, '2');

  const got = [];
  const stream = client.ModelStreamInfer();
  stream.on('data', (answer) => {
    assert.strictEqual(answer.error_message, '');
    got.push(answer.infer_response.outputs[0].contents.int64_contents[0]);
  });
  stream.write(count('2'));
  stream.write(count('1'));
  stream.end();
  await new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
  assert.deepStrictEqual(got, ['0', '1', '0']);
  client.close();
  console.log('all good');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
