"""A model of MLServer that answers each input with an output of the same name."""

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Echo(MLModel):
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        wanted = [out.name for out in payload.outputs] if payload.outputs else [one.name for one in payload.inputs]
        inputs = {one.name: one for one in payload.inputs}
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[
                ResponseOutput(name=name, shape=inputs[name].shape, datatype=inputs[name].datatype, data=inputs[name].data)
                for name in wanted
            ],
        )
